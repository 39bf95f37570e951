const kib = 1024;
const mib = 1024 * kib;

/** What is read, written and digested at a time. */
export const blockBytes = mib;

/** What is told apart as data or zeros: shorter holes cost more in requests and fragments than they save. */
export const cellBytes = 256 * kib;

/** The unit of resume: a checkpoint lies on such a boundary or at the end. Part of the digest, so never to be changed. */
export const rangeBytes = 64 * mib;

/** How far one question for holes looks ahead: it bounds the answer, and the map kept of it. */
export const windowBytes = 1024 * mib;

/** O_DIRECT asks for offsets, lengths and addresses in multiples of the device's blocks: 4096 is enough for all of them. */
export const directAlignment = 4096;
