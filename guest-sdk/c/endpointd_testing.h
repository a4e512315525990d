/* The host of a unit test, for a native build: no settings, empty buckets, an empty log and nobody to call, until the
 * test says otherwise.
 *
 *     #include <assert.h>
 *     #include <string.h>
 *     #include "endpointd_testing.h"
 *
 *     int main(void)
 *     {
 *         ep_test_begin();
 *         assert(!strcmp(ep_test_call("greet", "{\"name\": \"Ada\"}").result, "\"Hello, Ada\""));
 *         assert(!strcmp(ep_test_call("greet", "{\"name\": \"\"}").failure, "builtins.ValueError: a name is needed"));
 *         assert(!strcmp(ep_test_log(), "info: greeting Ada\n"));
 *     }
 *
 *     cc -o test test.c greeter.c endpointd/endpointd*.c && ./test
 *
 * All texts are C strings, and live until the next ep_test_begin.
 */
#ifndef ENDPOINTD_TESTING_H
#define ENDPOINTD_TESTING_H

#include "endpointd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What comes of a message to somebody else: a result as JSON, or else why there is none. */
typedef struct ep_test_answer {
    const char *result;
    ep_cause cause;
    const char *message;             /* of what is not granted, invalid, unavailable or an exception of there */
    const char *module, *class_name; /* of an exception of there */
} ep_test_answer;

/* What the host says, to be changed by the test. */
typedef struct ep_test_host {
    /* of the requests that ep_test_call makes */
    const char *name_space; /* NULL is the null namespace */
    const char *version;    /* that of the first endpoint */
    const char *context;    /* a JSON object */
    const char *id;
    bool is_cast;
    long long remaining_ms; /* -1 is not known, as at first */
    long long started_ms;
    long long now_ns;
    const char *broken_bucket;  /* every use of it fails */
    void (*before_swap)(void);  /* runs before a value is replaced, once: somebody else may write first */
    /* answers messages to others; without it nobody listens */
    ep_test_answer (*answer)(const char *topic, const char *method, const char *args);
} ep_test_host;
extern ep_test_host ep_test;

/* What the caller gets: either a result or a failure. */
typedef struct ep_test_reply {
    const char *result;  /* JSON */
    const char *failure; /* "MODULE.CLASS: MESSAGE" */
    const char *kwargs;  /* JSON, or NULL */
    bool expected;
} ep_test_reply;

/* Begins a test: everything is as at first. */
void ep_test_begin(void);
/* Has the plugin answer a request. `args` is a JSON object. */
ep_test_reply ep_test_call(const char *method, const char *args);
void ep_test_setting(const char *name, const char *value);
/* Puts a value into a bucket; NULL takes it out. */
void ep_test_set(const char *bucket, const char *key, const char *value);
/* The value of a key, or NULL. */
const char *ep_test_get(const char *bucket, const char *key);
/* The lines logged so far, each as "LEVEL: MESSAGE\n". */
const char *ep_test_log(void);
/* The messages sent so far, each as "call TOPIC METHOD ARGS\n"; or cast, or fanout. */
const char *ep_test_sent(void);

#ifdef __cplusplus
}
#endif

#endif
