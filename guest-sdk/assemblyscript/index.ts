// What authors use. `export * from "./endpointd/exports";` in a plugin's own file makes it one.

export { Bucket } from "./bucket";
export { Target } from "./client";
export {
  Call, Delivery, Endpoint, Method, Parameter, any, boolean, float, integer, list, object, optional, text,
} from "./endpoint";
export { Cause, Failure, Outcome, builtins } from "./failure";
export { clock, config, log, random } from "./host";
export { Json, Kind, Reply } from "./json";
