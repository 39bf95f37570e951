/** What a test needs of Ferry: `api` an answer, `row` something in the registry too, `data` an operation on devices. */
export type Need = 'api' | 'row' | 'data';

/** A test of tempest's that Ferry has to pass. */
export interface Wanted {
  need: Need;
  group: string;
  id: string;
}

/** How a test ended. */
export interface Ended {
  id: string;
  outcome: string;
  seconds: number;
  reason: string;
}

const needs: readonly Need[] = ['api', 'row', 'data'];

/** Tests by line: need, group, id, apart by tabs. */
export function wantedOf(text: string): Wanted[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [need, group, id] = line.split('\t');
      const known = needs.find((each) => each === need);
      if (!known || !group || !id) throw new Error(`not a need, a group and a test: ${line}`);
      return { need: known, group, id };
    });
}

/** How many of the wanted passed, by need and group, and each that did not with its reason. One that did not run has not passed. */
export function scored(wanted: readonly Wanted[], ended: readonly Ended[]): { text: string; missing: number } {
  const results = new Map(ended.map((each) => [bare(each.id), each]));
  // A class that could not be set up says why for all of its tests.
  const ofClass = (id: string) => results.get(`setUpClass (${id.slice(0, id.lastIndexOf('.'))})`);
  const passed = ({ id }: Wanted) => results.get(id)?.outcome === 'success';
  const count = (some: readonly Wanted[]) => `${some.filter(passed).length}/${some.length}`;
  const lines = needs.flatMap((need) => {
    const some = wanted.filter((each) => each.need === need);
    const groups = [...new Set(some.map(({ group }) => group))].toSorted();
    return [
      `${need}: ${count(some)}`,
      ...groups.map((group) => `  ${count(some.filter((each) => each.group === group)).padStart(7)}  ${group}`),
    ];
  });
  const missing = wanted.filter((each) => !passed(each));
  const why = missing.map(({ need, id }) => {
    const result = results.get(id) ?? ofClass(id);
    return `${need}\t${result?.outcome ?? 'not run'}\t${id}\t${(result?.reason ?? '').replace(/\s+/g, ' ').slice(0, 200)}`;
  });
  return { text: [...why, ...lines, `all: ${count(wanted)}`].join('\n'), missing: missing.length };
}

/** Without the attributes that tempest adds in brackets. */
function bare(id: string): string {
  return id.replace(/\[.*\]$/, '');
}
