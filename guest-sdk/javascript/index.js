/** Write endpointd plugins in JavaScript or TypeScript: methods that answer RPC calls. */

export { Bucket, BucketError } from "./src/bucket.js";
export * from "./src/builtins.js";
export * as callInfo from "./src/call-info.js";
export { ClientError, Target } from "./src/client.js";
export * as config from "./src/config.js";
export { endpoint } from "./src/endpoint.js";
export { Failure } from "./src/failure.js";
export * as log from "./src/log.js";
export { method, optional } from "./src/method.js";
