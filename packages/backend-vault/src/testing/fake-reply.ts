/** What the fake answers, as the server writes it. */
export interface Reply {
  readonly status: number;
  readonly body?: object;
}

export const refused = (status: number, error?: string): Reply => ({
  status,
  body: { errors: error === undefined ? [] : [error] },
});
export const done: Reply = { status: 204 };
/** Members that every answer has. */
export const ok = (members: object): Reply => ({
  status: 200,
  body: { lease_id: "", renewable: false, lease_duration: 0, wrap_info: null, ...members },
});
