/** A moment as Cinder writes it: UTC, without a zone, to the microsecond. */
export function timeText(moment: Date): string {
  return `${moment.toISOString().slice(0, -1)}000`;
}
