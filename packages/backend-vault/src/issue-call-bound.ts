/**
 * How long the server may go on with a request after it was sent: its
 * `default_max_request_duration` is 90 s, and one whose caller has gone is not always given up
 * before.
 */
export const ISSUE_CALL_SECONDS_MAX = 100;
