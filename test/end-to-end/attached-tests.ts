import { after, afterEach, before } from 'node:test';
import { AttachedStage, type AttachedVolume } from './attached-stage.ts';

/** For the tests of a file: a stage, from before the first to after the last, and volumes that are dropped after the test that keeps them. */
export function attachedTests() {
  let stage: AttachedStage;
  const mine: AttachedVolume[] = [];
  before(async () => {
    stage = await AttachedStage.set();
  });
  after(() => stage?.strike());
  afterEach(async () => {
    for (const volume of mine.splice(0)) await stage.drop(volume);
  });
  const keep = (volume: AttachedVolume): AttachedVolume => {
    mine.push(volume);
    return volume;
  };
  const midMirror = async () => {
    const { volume, handle } = await stage.midMirror();
    return { volume: keep(volume), handle };
  };
  return {
    get stage() {
      return stage;
    },
    keep,
    midMirror,
  };
}
