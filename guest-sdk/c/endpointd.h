/* Write an endpointd plugin in C: functions that answer RPC calls, and a table of them.
 *
 *     #include "endpointd.h"
 *
 *     // Callers use greet(name="Ada"), or greet(name="Ada", times=2).
 *     static ep_json greet(ep_call *call)
 *     {
 *         ep_text name = ep_text_arg(call, "name");
 *         long long times = ep_as_integer(ep_arg(call, "times"), 1);
 *         if (name.size == 0) return ep_value_error(call, "a name is needed");
 *         ep_log(call, EP_INFO, "greeting %.*s", EP_SHOW(name));
 *         return ep_text_json(call, ep_format(call, "Hello, %.*s, %lld times", EP_SHOW(name), times));
 *     }
 *
 *     static const ep_method methods[] = {
 *         {"greet", greet, {{"name", EP_TEXT}, {"times", EP_INTEGER | EP_OPTIONAL}}},
 *     };
 *     EP_ENDPOINT("1.0", methods);
 *
 * Three rules hold throughout.
 *
 * Arguments are checked before a method is called: one that is missing, not declared or of another type is the
 * caller's TypeError, and the method never runs.
 *
 * Nothing is to be freed or closed. Whatever takes a call gives memory and handles that live until the reply is sent,
 * and memory that runs out ends the instance.
 *
 * The first failure of a call stays: it is what the caller gets, whatever the method returns. From then on everything
 * that would reach a bucket or another server does nothing and gives nothing, so that a method need not ask after each
 * step. `ep_failed` asks, `ep_recover` goes on.
 *
 * What a plugin may use is up to its operator: what is called here without a grant in plugin.toml refuses the whole
 * plugin, with the line that would grant it. What is not called is not imported. Settings, the log and what is known
 * of the call are always there.
 */
#ifndef ENDPOINTD_H
#define ENDPOINTD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EP_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))

/* A request being answered. */
typedef struct ep_call ep_call;

/* ---- Text ----------------------------------------------------------------------------------------------------- */

/* UTF-8, or any bytes of a bucket; not ended by a zero byte. `data` is NULL where there is none, which is not the
 * same as an empty one. */
typedef struct ep_text {
    const char *data;
    size_t size;
} ep_text;

/* A text as `%.*s` takes it. */
#define EP_SHOW(text) (int)(text).size, (text).data

/* A C string as a text; of NULL there is none. */
ep_text ep_text_of(const char *string);
/* A copy that is ended by a zero byte. */
const char *ep_c_string(ep_call *call, ep_text text);
/* Whether they have the same bytes. Without a text there is none that is the same. */
bool ep_equals(ep_text one, ep_text other);
bool ep_starts_with(ep_text text, ep_text prefix);
/* What follows the first `count` bytes. */
ep_text ep_after(ep_text text, size_t count);
/* As printf: %s %c %d %i %u %x %X with hh h l ll z j t, width and flags 0 and -; %.*s, all bytes of it, and %p. A
 * double is %g, and always the shortest text that reads back as the same number. */
ep_text ep_format(ep_call *call, const char *format, ...) EP_PRINTF(2, 3);
/* The same, for functions of your own. */
ep_text ep_format_list(ep_call *call, const char *format, __builtin_va_list arguments);
/* Memory that lives until the reply is sent, aligned to 16 bytes, all zero. */
void *ep_allocate(ep_call *call, size_t size);

/* ---- JSON: reading -------------------------------------------------------------------------------------------- */

/* One value, as the JSON text that it is; `data` is NULL where there is none. Whoever makes one by hand answers for
 * it being JSON. */
typedef struct ep_json {
    const char *data;
    size_t size;
} ep_json;

/* What a value is, or what is declared of it. */
typedef enum ep_kind {
    EP_NONE, /* there is no value */
    EP_NULL,
    EP_FLAG,    /* true or false */
    EP_INTEGER, /* within a long long; neither 3.0 nor 1e2 */
    EP_NUMBER,  /* any number that is no such integer; where it is declared, an integer fits as well */
    EP_TEXT,
    EP_ARRAY,
    EP_OBJECT,
    EP_ANY /* declared only: whatever there is */
} ep_kind;

/* Checks a text and gives it as a value. What is no JSON, or nested deeper than 256, fails the call with a ValueError
 * that says where. */
ep_json ep_parse(ep_call *call, ep_text source);
ep_kind ep_kind_of(ep_json value);
/* The value of a key; of equal keys, the last. None where there is none, or if `object` is no object. */
ep_json ep_member(ep_json object, const char *key);
/* A text without its escapes; a lone surrogate becomes U+FFFD. None if it is no text. */
ep_text ep_as_text(ep_call *call, ep_json value);
/* These give `otherwise` if the value is of another kind, or none. */
long long ep_as_integer(ep_json value, long long otherwise);
/* The nearest double; infinite where it is too large. Takes integers as well. */
double ep_as_number(ep_json value, double otherwise);
bool ep_as_flag(ep_json value, bool otherwise);

/* The items of an array, or the members of an object in the order of the text:
 *     for (ep_items items = ep_each(value); ep_next(&items);) use(items.value);
 * What is neither has none. */
typedef struct ep_items {
    ep_json value;
    ep_json key; /* of an object's member: a text, to be read with ep_as_text */
    const char *rest;
    bool in_object;
} ep_items;
ep_items ep_each(ep_json value);
bool ep_next(ep_items *items);

/* ---- JSON: writing -------------------------------------------------------------------------------------------- */

/* A value being written. */
typedef struct ep_writer ep_writer;

/* Begins an object or an array, which ep_done ends:
 *     ep_writer *out = ep_object(call);
 *     ep_write_text(out, "name", name);
 *     return ep_done(out);
 */
ep_writer *ep_object(ep_call *call);
ep_writer *ep_array(ep_call *call);
/* The value that was written; what is still open is ended. None if a text was not UTF-8, a number not finite or it is
 * nested deeper than 256: whatever is then made of it fails, and says so. */
ep_json ep_done(ep_writer *out);

/* Each of these writes one value: in an object under `key`, in an array with NULL for it. What there is none of is
 * written as null. */
void ep_write_text(ep_writer *out, const char *key, ep_text value);
void ep_write_integer(ep_writer *out, const char *key, long long value);
/* As the shortest text that reads back as the same double: at most 17 digits, and 3.0 rather than 3. */
void ep_write_number(ep_writer *out, const char *key, double value);
void ep_write_flag(ep_writer *out, const char *key, bool value);
void ep_write_null(ep_writer *out, const char *key);
void ep_write_json(ep_writer *out, const char *key, ep_json value);
/* What follows is written into it, up to ep_write_end. */
void ep_write_object(ep_writer *out, const char *key);
void ep_write_array(ep_writer *out, const char *key);
void ep_write_end(ep_writer *out);
/* A key that is no C string; the value that follows has NULL for one. */
void ep_write_key(ep_writer *out, ep_text key);

/* One value alone. */
ep_json ep_text_json(ep_call *call, ep_text value);
ep_json ep_integer_json(ep_call *call, long long value);
ep_json ep_number_json(ep_call *call, double value);
ep_json ep_flag_json(bool value);

/* ---- Endpoints ------------------------------------------------------------------------------------------------ */

/* With a kind: may be missing, or null. */
#define EP_OPTIONAL 0x100
/* As the kind of the last parameter: arguments of any other name are taken too, and ep_args has them. */
#define EP_OTHERS 0x200
#define EP_MOST_PARAMETERS 16

typedef struct ep_parameter {
    const char *name;
    int kind; /* an ep_kind, and perhaps EP_OPTIONAL */
} ep_parameter;

/* What callers may use. The function gives the result, and none stands for null. */
typedef struct ep_method {
    const char *name;
    ep_json (*function)(ep_call *call);
    ep_parameter parameters[EP_MOST_PARAMETERS];
} ep_method;

typedef struct ep_endpoint {
    const char *name_space; /* NULL is the null namespace, which is not the same as an empty one */
    const char *version;    /* "MAJOR.MINOR": it serves every lower minor as well */
    const ep_method *methods;
    size_t method_count;
} ep_endpoint;

/* Serves an array of methods in the null namespace. Once in a plugin. */
#define EP_ENDPOINT(version, methods) EP_ENDPOINTS(EP_SERVES(NULL, version, methods))
/* Serves several, as EP_ENDPOINTS(EP_SERVES(NULL, "1.4", old_methods), EP_SERVES("named", "2.0", new_methods)). Of
 * those that fit a request, the highest version that has the method answers. */
#define EP_ENDPOINTS(...)                                                                                              \
    const ep_endpoint ep_endpoints[] = {__VA_ARGS__};                                                                  \
    const size_t ep_endpoint_count = sizeof ep_endpoints / sizeof ep_endpoints[0]
#define EP_SERVES(name_space, version, methods) {name_space, version, methods, sizeof(methods) / sizeof(methods)[0]}

extern const ep_endpoint ep_endpoints[];
extern const size_t ep_endpoint_count;

/* ---- The request ---------------------------------------------------------------------------------------------- */

/* An argument as a value: none if it is missing or null. The parameter must be declared, and be of that kind; else the
 * plugin ends with a line in the log. */
ep_json ep_arg(ep_call *call, const char *name);
ep_text ep_text_arg(ep_call *call, const char *name);
/* Zero and false where an optional one is missing: ep_as_integer(ep_arg(call, "times"), 1) says otherwise. */
long long ep_integer_arg(ep_call *call, const char *name);
double ep_number_arg(ep_call *call, const char *name);
bool ep_flag_arg(ep_call *call, const char *name);
/* All arguments as they came, an object. */
ep_json ep_args(ep_call *call);

/* The caller's request context, an object: who asks, and on whose behalf. */
ep_json ep_context(ep_call *call);
/* An entry of it; none if it is no text. */
ep_text ep_context_text(ep_call *call, const char *key);
/* Whether the caller is an administrator, as OpenStack's contexts say it. */
bool ep_is_admin(ep_call *call);

/* The message's unique id, which the logs of both sides share; empty if the caller sent none. */
ep_text ep_id(ep_call *call);
/* Whether nobody waits for the result. */
bool ep_is_cast(ep_call *call);
/* What is left of the caller's time in milliseconds; -1 where it is not known. */
long long ep_remaining_ms(ep_call *call);
/* When the host started, in milliseconds since 1970: what was sent before that has waited while nobody served it. */
long long ep_host_started_ms(ep_call *call);

/* ---- Failures ------------------------------------------------------------------------------------------------- */

/* Where a failure comes from, to tell them apart. */
typedef enum ep_cause {
    EP_RAISED, /* by the method, or a wrong argument, setting or document */
    /* of buckets: endpointd.BucketError */
    EP_ACCESS_DENIED,    /* the operator did not grant the bucket */
    EP_NO_SUCH_BUCKET,   /* there is no bucket of this name */
    EP_BUCKET_FAILED,    /* the bucket's backend failed */
    EP_UNEXPECTED_VALUE, /* a value is not JSON, or not of the kind asked for */
    /* of messages to others: endpointd.ClientError, or one of oslo_messaging.exceptions */
    EP_NOT_GRANTED,      /* the operator did not grant it, or too many plugins have called one another */
    EP_INVALID,          /* the arguments or the destination are not well formed */
    EP_TIMEOUT,          /* there was no result in time; the other side may still have done it */
    EP_UNROUTABLE,       /* no server listens there */
    EP_UNAVAILABLE,      /* it could not be sent now */
    EP_REMOTE,           /* the other side answered with this exception */
    EP_UNEXPECTED_RESULT /* the result is not of the kind asked for */
} ep_cause;

/* The exception that the caller sees. */
typedef struct ep_failure {
    const char *module;     /* the Python module that defines it; NULL is Python's own, "builtins" */
    const char *class_name; /* such as "ValueError" */
    ep_text message;
    ep_json kwargs; /* an object: what the caller rebuilds it with; may be none */
    bool expected;  /* part of the interface, and not worth a line in the host's log */
    ep_cause cause;
    const ep_text *traceback; /* lines that the exception of another service came with */
    size_t traceback_size;
} ep_failure;

/* Fails the call, unless it has failed before. Gives none, so that a method can return it:
 *     return ep_raise(call, (ep_failure){.module = "...", .class_name = "...", .message = ep_format(...)});
 */
ep_json ep_raise(ep_call *call, ep_failure failure);
/* The same with a formatted message and nothing else. */
ep_json ep_fail(ep_call *call, const char *module, const char *class_name, const char *format, ...) EP_PRINTF(4, 5);
#define ep_value_error(call, ...) ep_fail(call, "builtins", "ValueError", __VA_ARGS__)
/* What the call has failed with; NULL while it has not. */
const ep_failure *ep_failed(const ep_call *call);
/* Forgets the failure. */
void ep_recover(ep_call *call);
/* Ends the instance with a line in the log: for what can only be a mistake in the plugin. */
void ep_panic(const char *format, ...) EP_PRINTF(1, 2) __attribute__((__noreturn__));

/* ---- The log and the settings --------------------------------------------------------------------------------- */

typedef enum ep_level { EP_TRACE, EP_DEBUG, EP_INFO, EP_WARN, EP_ERROR, EP_CRITICAL } ep_level;

/* Writes a line to the host's log, which adds the plugin's name and the request's id. */
void ep_log(ep_call *call, ep_level level, const char *format, ...) EP_PRINTF(3, 4);

/* The setting or the secret of this name, or else `otherwise`, which may be NULL. Also where a secret cannot be read
 * now. */
ep_text ep_setting(ep_call *call, const char *name, const char *otherwise);
/* Gives whether there is the setting, and its value. One that is no integer fails the call with a ValueError. */
bool ep_integer_setting(ep_call *call, const char *name, long long *value);
/* Every setting: an object of texts. */
ep_json ep_settings(ep_call *call);

/* ---- Buckets: keyvalue = ["NAME"] under [grants] -------------------------------------------------------------- */

/* A key-value space that outlives the instance, and that plugins and hosts can share. What is written is safe when the
 * function returns. */
typedef struct ep_bucket {
    ep_call *call;
    uint32_t handle;
    bool is_open;
} ep_bucket;

/* Keys, in order. */
typedef struct ep_keys {
    const ep_text *items;
    size_t size;
} ep_keys;

ep_bucket ep_bucket_open(ep_call *call, const char *name);
/* The value of a key; none if there is none. */
ep_text ep_bucket_get(ep_bucket bucket, ep_text key);
/* The same as JSON, which must be of this kind. */
ep_json ep_bucket_get_json(ep_bucket bucket, ep_text key, ep_kind kind);
void ep_bucket_set(ep_bucket bucket, ep_text key, ep_text value);
void ep_bucket_set_json(ep_bucket bucket, ep_text key, ep_json value);
/* Removing what is not there succeeds. */
void ep_bucket_delete(ep_bucket bucket, ep_text key);
bool ep_bucket_exists(ep_bucket bucket, ep_text key);
/* Every key. */
ep_keys ep_bucket_keys(ep_bucket bucket);
/* Adds to a decimal number, which starts at 0, and gives the sum. Atomic. */
long long ep_bucket_increment(ep_bucket bucket, ep_text key, long long delta);

/* A value as it was read, to be replaced only if nobody else wrote meanwhile:
 *     ep_swap swap = ep_bucket_swap(bucket, key);
 *     do {
 *         next = ep_as_integer(ep_swap_json(&swap, EP_INTEGER), 0) + 1;
 *     } while (!ep_swap_set_json(&swap, ep_integer_json(call, next)));
 */
typedef struct ep_swap {
    ep_bucket bucket;
    ep_text current; /* the value now, and after it was replaced, what was there before; none if there is none */
    struct ep_opened *opened;
} ep_swap;
ep_swap ep_bucket_swap(ep_bucket bucket, ep_text key);
/* The current value as JSON, which must be of this kind. */
ep_json ep_swap_json(const ep_swap *swap, ep_kind kind);
/* Replaces the value. False if somebody else wrote first: then `current` is newer, and it is to be tried again. True
 * once it is done, and where the call has failed. */
bool ep_swap_set(ep_swap *swap, ep_text value);
bool ep_swap_set_json(ep_swap *swap, ep_json value);

/* ---- RPC to others: client = ["call:TOPIC", "cast:TOPIC", "fanout:TOPIC"] under [grants] ---------------------- */

/* Whom to send to. What is not said takes the host's defaults. */
typedef struct ep_target {
    const char *topic;
    const char *version; /* that the method needs; NULL is 1.0 */
    const char *name_space;
    const char *server;   /* one server of the topic; NULL is any */
    const char *exchange; /* only the host's own is allowed, which is also the default */
    uint32_t timeout_ms;  /* the longest that it may take, never longer than what is left of this call; 0 is that */
    ep_json context;      /* another request context than that of this call */
} ep_target;

/* Has one server run a method and gives its result, which must be of this kind. `args` is an object; none is an empty
 * one. */
ep_json ep_rpc_call(ep_call *call, const ep_target *to, const char *method, ep_json args, ep_kind kind);
/* Has one server run a method, without waiting for it. */
void ep_rpc_cast(ep_call *call, const ep_target *to, const char *method, ep_json args);
/* Has every server of the topic run a method, without waiting for them. */
void ep_rpc_fanout(ep_call *call, const ep_target *to, const char *method, ep_json args);

/* ---- Time and chance: clocks = true, random = true under [grants] --------------------------------------------- */

/* The time now by the host's clock, in nanoseconds since 1970. */
long long ep_now_ns(ep_call *call);
/* Random numbers that cannot be predicted. */
uint64_t ep_random(ep_call *call);
void ep_random_bytes(ep_call *call, void *bytes, size_t size);
/* A random UUID (RFC 9562, version 4) in its usual form. */
ep_text ep_uuid(ep_call *call);

#ifdef __cplusplus
}
#endif

#endif
