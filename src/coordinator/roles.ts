import type { CoordinatorView } from "../contracts/views.js";

export type Role = CoordinatorView["role"];

const roles: Readonly<Record<string, Role>> = {
  following: "following",
  campaigning: "campaigning",
  loading: "loading",
  leading: "leading",
  steppingDown: "stopping",
  resigning: "stopping",
  stopped: "stopping",
};

/** What people see of a state of the coordinator's machine. A follower that asks for the lease is one until it has it. */
export function roleAfter(before: Role, state: string): Role {
  const role = roles[state] ?? "following";
  return role === "campaigning" && before === "following" ? before : role;
}
