/** Sent with each heartbeat and shown by /v1/status. */
export const AGENT_VERSION = '0.1.0';
