/* What the files of the library share, and the host's side of the contract: the world `endpoint` of endpointd.wit as
 * the canonical ABI lays it out in memory. Plugins need none of it. */
#ifndef ENDPOINTD_INTERNAL_H
#define ENDPOINTD_INTERNAL_H

#include "endpointd.h"

#define EP_MOST_DEPTH 256

/* ---- Memory: endpointd_memory.c ------------------------------------------------------------------------------- */

/* Memory of the arena, which all of one request shares. */
void *ep_arena_take(size_t size, size_t alignment);
/* Makes more of a block, in place where nothing was taken since. */
void *ep_arena_extend(void *old, size_t old_size, size_t size);
/* Gives everything back. */
void ep_arena_reset(void);

/* Text that grows. */
typedef struct ep_buffer {
    char *data;
    size_t size, capacity;
} ep_buffer;
/* Room for so many bytes more, to be added by whoever writes them. */
char *ep_buffer_room(ep_buffer *buffer, size_t size);
void ep_buffer_add(ep_buffer *buffer, const char *data, size_t size);
void ep_buffer_byte(ep_buffer *buffer, char byte);
void ep_buffer_unsigned(ep_buffer *buffer, unsigned long long number);
void ep_buffer_signed(ep_buffer *buffer, long long number);

/* ---- Text: endpointd_text.c ----------------------------------------------------------------------------------- */

bool ep_equals_string(ep_text text, const char *string);
/* Bytes of the character that begins at `at`; 0 if there is no UTF-8. */
size_t ep_character_size(const char *at, const char *end);
/* The same text with U+FFFD for what is no UTF-8, as the host ends an instance that hands it anything else. */
ep_text ep_readable(ep_text text);

/* ---- Numbers: endpointd_number.c ------------------------------------------------------------------------------ */

/* The nearest double to a number of JSON. */
double ep_number_parse(const char *at, const char *end);
/* The shortest text that reads back as the same double, which must be finite. */
void ep_number_write(ep_buffer *buffer, double number);

/* ---- JSON: endpointd_json.c, endpointd_write.c ---------------------------------------------------------------- */

/* Gives whether the text is JSON, and the value; else why not. */
bool ep_json_check(ep_text source, ep_json *value, const char **problem);
/* Whether a value is what is declared; else why not, as "text is needed, not 5". */
bool ep_kind_fits(ep_json value, int declared, ep_text *problem);
/* Why a value is none where ep_done gave it: NULL if it did not. */
const char *ep_no_json(ep_call *call, ep_json value);

/* ---- Requests: endpointd.c ------------------------------------------------------------------------------------ */

/* Something of the host's that is closed with the call. Only who opens such a thing refers to what closes it, so that
 * others do not import that. */
struct ep_opened {
    struct ep_opened *next;
    uint32_t handle;
    bool is_open;
    void (*close)(uint32_t handle);
};
struct ep_opened *ep_open(ep_call *call, uint32_t handle, void (*close)(uint32_t handle));

struct ep_call {
    const ep_method *method;
    ep_json args, context;
    ep_json values[EP_MOST_PARAMETERS];
    const char *no_json; /* why ep_done gave none */
    bool has_failed;
    ep_failure failure;
    struct ep_opened *opened;
};

/* ---- The canonical ABI ---------------------------------------------------------------------------------------- */

typedef struct ep_abi_option {
    bool is_some;
    ep_text text;
} ep_abi_option;

typedef struct ep_abi_failure {
    ep_text class_name, module, message;
    ep_abi_option kwargs;
    const ep_text *traceback;
    size_t traceback_size;
    bool expected;
} ep_abi_failure;

typedef struct ep_abi_target {
    ep_abi_option name_space;
    ep_text version;
    const ep_text *methods;
    size_t method_count;
} ep_abi_target;

typedef struct ep_abi_targets {
    const ep_abi_target *items;
    size_t size;
} ep_abi_targets;

typedef struct ep_abi_reply {
    bool is_failure;
    union {
        ep_text result;
        ep_abi_failure failure;
    };
} ep_abi_reply;

/* What is wrong with a bucket: 0 there is none, 1 it is not granted, 2 the text says it. */
typedef struct ep_abi_problem {
    uint8_t kind;
    ep_text text;
} ep_abi_problem;

typedef struct ep_abi_page {
    const ep_text *keys;
    size_t size;
    ep_abi_option cursor;
} ep_abi_page;

typedef struct ep_abi_read {
    uint32_t handle;
    ep_abi_option value;
} ep_abi_read;

/* What a function of a bucket gives. The host writes only the member that it gives; where a union holds numbers of
 * eight bytes, all of it lies further on, so that these are kept apart. */
typedef struct ep_abi_result {
    bool is_problem;
    union {
        uint32_t handle;
        bool flag;
        ep_abi_option value;
        ep_abi_page page;
        ep_abi_read read;
        ep_abi_problem problem;
    };
} ep_abi_result;

typedef struct ep_abi_sum {
    bool is_problem;
    union {
        int64_t number;
        ep_abi_problem problem;
    };
} ep_abi_sum;

typedef struct ep_abi_swapped {
    bool is_problem;
    /* A value of its own, so aligned as one. */
    struct {
        uint8_t kind; /* 0 a problem, 1 somebody else wrote first */
        union {
            ep_abi_problem problem;
            ep_abi_read newer;
        };
    };
} ep_abi_swapped;

typedef struct ep_abi_number {
    bool is_some;
    uint64_t number;
} ep_abi_number;

typedef struct ep_abi_setting {
    ep_text name, value;
} ep_abi_setting;

typedef struct ep_abi_config {
    bool is_problem;
    union {
        ep_abi_option value;
        struct {
            const ep_abi_setting *items;
            size_t size;
        } all;
        ep_abi_problem problem;
    };
} ep_abi_config;

typedef struct ep_abi_message {
    ep_abi_option exchange;
    ep_text topic;
    ep_abi_option server, name_space, version;
    ep_text method, args;
    bool has_timeout;
    uint32_t timeout_ms;
    ep_abi_option context;
} ep_abi_message;

typedef struct ep_abi_answer {
    bool is_problem;
    union {
        ep_text result;
        struct {
            uint8_t kind; /* 0 not granted, 1 invalid, 2 timeout, 3 unroutable, 4 unavailable, 5 a failure of there */
            union {
                ep_text text;
                ep_abi_failure failure;
            };
        } problem;
    };
} ep_abi_answer;

typedef struct ep_abi_time {
    uint64_t seconds;
    uint32_t nanoseconds;
} ep_abi_time;

/* Natively they are functions of endpointd_testing.c. */
#ifdef __wasm__
#define EP_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#else
#define EP_IMPORT(module, name)
#endif
#define EP_CALL_INFO "endpointd:rpc/call-info@0.1.0"
#define EP_CLIENT "endpointd:rpc/client@0.1.0"
#define EP_CONFIG "wasi:config/store@0.2.0-rc.1"
#define EP_STORE "wasi:keyvalue/store@0.2.0-draft2"
#define EP_ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

EP_IMPORT(EP_CALL_INFO, "id") void ep_host_id(ep_text *result);
EP_IMPORT(EP_CALL_INFO, "delivery") uint32_t ep_host_delivery(void);
EP_IMPORT(EP_CALL_INFO, "remaining-ms") void ep_host_remaining(ep_abi_number *result);
EP_IMPORT(EP_CALL_INFO, "host-started-ms") uint64_t ep_host_started(void);
EP_IMPORT("wasi:logging/logging@0.1.0-draft", "log")
void ep_host_log(uint32_t level, const char *context, size_t context_size, const char *message, size_t message_size);
EP_IMPORT(EP_CONFIG, "get") void ep_host_setting(const char *name, size_t name_size, ep_abi_config *result);
EP_IMPORT(EP_CONFIG, "get-all") void ep_host_settings(ep_abi_config *result);
EP_IMPORT(EP_CLIENT, "call") void ep_host_call(const ep_abi_message *message, ep_abi_answer *result);
EP_IMPORT(EP_CLIENT, "cast") void ep_host_cast(const ep_abi_message *message, ep_abi_answer *result);
EP_IMPORT(EP_CLIENT, "fanout") void ep_host_fanout(const ep_abi_message *message, ep_abi_answer *result);
EP_IMPORT(EP_STORE, "open") void ep_host_bucket_open(const char *name, size_t name_size, ep_abi_result *result);
EP_IMPORT(EP_STORE, "[resource-drop]bucket") void ep_host_bucket_close(uint32_t bucket);
EP_IMPORT(EP_STORE, "[method]bucket.get")
void ep_host_bucket_get(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result);
EP_IMPORT(EP_STORE, "[method]bucket.set")
void ep_host_bucket_set(uint32_t bucket, const char *key, size_t key_size, const char *value, size_t value_size,
                        ep_abi_result *result);
EP_IMPORT(EP_STORE, "[method]bucket.delete")
void ep_host_bucket_delete(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result);
EP_IMPORT(EP_STORE, "[method]bucket.exists")
void ep_host_bucket_exists(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result);
EP_IMPORT(EP_STORE, "[method]bucket.list-keys")
void ep_host_bucket_keys(uint32_t bucket, uint32_t has_cursor, const char *cursor, size_t cursor_size,
                         ep_abi_result *result);
EP_IMPORT(EP_ATOMICS, "increment")
void ep_host_increment(uint32_t bucket, const char *key, size_t key_size, int64_t delta, ep_abi_sum *result);
EP_IMPORT(EP_ATOMICS, "[static]cas.new-with-read")
void ep_host_swap_open(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result);
EP_IMPORT(EP_ATOMICS, "[resource-drop]cas") void ep_host_swap_close(uint32_t swap);
EP_IMPORT(EP_ATOMICS, "swap")
void ep_host_swap(uint32_t swap, const char *value, size_t value_size, ep_abi_swapped *result);
EP_IMPORT("wasi:clocks/wall-clock@0.2.0", "now") void ep_host_now(ep_abi_time *result);
EP_IMPORT("wasi:random/random@0.2.0", "get-random-u64") uint64_t ep_host_random(void);

/* What the host calls. */
void *ep_export_realloc(void *old, size_t old_size, size_t alignment, size_t size);
const ep_abi_targets *ep_export_targets(void);
const ep_abi_reply *ep_export_dispatch(uint32_t has_name_space, const char *name_space, size_t name_space_size,
                                       const char *version, size_t version_size, const char *method,
                                       size_t method_size, const char *args, size_t args_size, const char *context,
                                       size_t context_size);
void ep_export_after_targets(const void *targets);
void ep_export_after_dispatch(const void *reply);

#ifdef __wasm__
#define EP_EXPORT(name) __attribute__((export_name(name)))
#else
#define EP_EXPORT(name)
#endif

#endif
