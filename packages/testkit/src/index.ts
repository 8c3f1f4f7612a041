export { createFakeAlarmClock, type FakeAlarmClock } from "./fake-alarm-clock.ts";
export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { createFakeSealer } from "./fake-sealer.ts";
export { createRecordingLog, type LogEntry, type RecordingLog } from "./recording-log.ts";
export { seededRandom } from "./seeded-random.ts";
