/** As Ironic writes times: ISO 8601 with the offset spelled out. */
export const formatTime = (time: Date): string => time.toISOString().replace('Z', '+00:00');
export const formatTimeOrNull = (time: Date | null): string | null => (time === null ? null : formatTime(time));
