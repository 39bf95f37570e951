import * as z from 'zod';

/** A machine as its certificate can name it. */
export const peerName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, 'is no name of a machine');
