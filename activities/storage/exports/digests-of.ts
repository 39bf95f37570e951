/** The export beside a read-only one under which the digests of its blocks can be read. */
export const digestsOf = (exportName: string) => `${exportName}:digests`;
