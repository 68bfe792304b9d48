import { compilePermission } from "./permissions.ts";
import { Access, type UserStore } from "./user_store.ts";

/** Checks passwords and names of certificates, and the access of users to virtual hosts. */
export type Authenticator = Pick<UserStore, "authenticate" | "authenticateCertificate" | "has" | "accessTo">;

const ALL = compilePermission({ configure: ".*", write: ".*", read: ".*" });

/** Accepts every name and password, and allows everything. */
export const TRUST_ALL: Authenticator = {
  authenticate: () => undefined,
  authenticateCertificate: () => undefined,
  has: () => true,
  accessTo: (name, vhost) => new Access(name, vhost, () => ALL),
};
