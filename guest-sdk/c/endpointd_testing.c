/* The host of a unit test. There is none of it in a plugin. */
#ifndef __wasm__

#include "endpointd_testing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpointd_internal.h"

ep_test_host ep_test;

/* ---- What is kept until the next test ------------------------------------------------------------------------- */

struct kept {
    struct kept *next;
    char text[];
};

/* A setting, or a value of a bucket. */
struct entry {
    struct entry *next;
    const char *bucket; /* NULL is a setting */
    ep_text key, value;
};

/* What a plugin opened: a bucket, or a value to be replaced. */
struct handle {
    const char *bucket;
    ep_text key, value;
    bool is_open;
};

static struct kept *all_kept;
static struct entry *entries; /* by key */
static struct handle *handles;
static size_t handle_count;
static const char *logged = "", *sent = "";

static char *room(size_t size)
{
    struct kept *kept = malloc(sizeof *kept + size + 1);
    if (!kept) abort();
    kept->next = all_kept;
    all_kept = kept;
    kept->text[size] = 0;
    return kept->text;
}

static ep_text copy(ep_text text)
{
    if (!text.data) return text;
    char *data = room(text.size);
    if (text.size) memcpy(data, text.data, text.size);
    return (ep_text){data, text.size};
}

static char *print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = room((size_t)size);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

void ep_test_begin(void)
{
    while (all_kept) {
        struct kept *next = all_kept->next;
        free(all_kept);
        all_kept = next;
    }
    free(handles);
    handles = NULL;
    handle_count = 0;
    entries = NULL;
    logged = sent = "";
    ep_test = (ep_test_host){.version = ep_endpoints[0].version, .context = "{}", .id = "", .remaining_ms = -1};
}

ep_test_reply ep_test_call(const char *method, const char *args)
{
    const char *in = ep_test.name_space ? ep_test.name_space : "";
    const ep_abi_reply *reply =
        ep_export_dispatch(ep_test.name_space != NULL, in, strlen(in), ep_test.version, strlen(ep_test.version), method,
                           strlen(method), args, strlen(args), ep_test.context, strlen(ep_test.context));
    ep_test_reply told = {0};
    if (reply->is_failure) {
        const ep_abi_failure *failure = &reply->failure;
        told.failure = print("%.*s.%.*s: %.*s", EP_SHOW(failure->module), EP_SHOW(failure->class_name),
                             EP_SHOW(failure->message));
        if (failure->kwargs.is_some) told.kwargs = copy(failure->kwargs.text).data;
        told.expected = failure->expected;
    } else {
        told.result = copy(reply->result).data;
    }
    ep_export_after_dispatch(reply);
    for (size_t i = 0; i < handle_count; i++) {
        if (handles[i].is_open) abort(); /* the library closes what it opens */
    }
    return told;
}

/* Where the entry of a key is, or would be. */
static struct entry **find(const char *bucket, ep_text key)
{
    struct entry **at = &entries;
    for (; *at; at = &(*at)->next) {
        if (!bucket != !(*at)->bucket || (bucket && strcmp(bucket, (*at)->bucket))) continue;
        size_t common = key.size < (*at)->key.size ? key.size : (*at)->key.size;
        int order = memcmp((*at)->key.data, key.data, common);
        if (order > 0 || (order == 0 && (*at)->key.size >= key.size)) break;
    }
    return at;
}

static ep_text value_of(const char *bucket, ep_text key)
{
    struct entry *entry = *find(bucket, key);
    bool is_there = entry && ep_equals(entry->key, key);
    return is_there ? entry->value : (ep_text){NULL, 0};
}

static void put(const char *bucket, ep_text key, ep_text value)
{
    struct entry **at = find(bucket, key);
    bool is_there = *at && ep_equals((*at)->key, key);
    if (!value.data) {
        if (is_there) *at = (*at)->next;
        return;
    }
    if (!is_there) {
        struct entry *entry = (struct entry *)(void *)room(sizeof *entry);
        *entry = (struct entry){*at, bucket ? print("%s", bucket) : NULL, copy(key), {NULL, 0}};
        *at = entry;
    }
    (*at)->value = copy(value);
}

void ep_test_setting(const char *name, const char *value)
{
    put(NULL, ep_text_of(name), ep_text_of(value));
}

void ep_test_set(const char *bucket, const char *key, const char *value)
{
    put(bucket, ep_text_of(key), ep_text_of(value));
}

const char *ep_test_get(const char *bucket, const char *key)
{
    return value_of(bucket, ep_text_of(key)).data;
}

const char *ep_test_log(void)
{
    return logged;
}

const char *ep_test_sent(void)
{
    return sent;
}

/* ---- What the library imports --------------------------------------------------------------------------------- */

void ep_host_id(ep_text *result)
{
    *result = ep_text_of(ep_test.id);
}

uint32_t ep_host_delivery(void)
{
    return ep_test.is_cast;
}

void ep_host_remaining(ep_abi_number *result)
{
    *result = (ep_abi_number){ep_test.remaining_ms >= 0, (uint64_t)ep_test.remaining_ms};
}

uint64_t ep_host_started(void)
{
    return (uint64_t)ep_test.started_ms;
}

void ep_host_log(uint32_t level, const char *context, size_t context_size, const char *message, size_t message_size)
{
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error", "critical"};
    (void)context;
    (void)context_size;
    logged = print("%s%s: %.*s\n", logged, levels[level], (int)message_size, message);
    /* The test ends with this line, and shows it. */
    if (level == EP_CRITICAL) fprintf(stderr, "%.*s\n", (int)message_size, message);
}

void ep_host_setting(const char *name, size_t name_size, ep_abi_config *result)
{
    ep_text value = value_of(NULL, (ep_text){name, name_size});
    *result = (ep_abi_config){.value = {value.data != NULL, value}};
}

void ep_host_settings(ep_abi_config *result)
{
    size_t count = 0;
    for (struct entry *entry = entries; entry; entry = entry->next) count += !entry->bucket;
    ep_abi_setting *all = (ep_abi_setting *)(void *)room(count * sizeof *all), *next = all;
    for (struct entry *entry = entries; entry; entry = entry->next) {
        if (!entry->bucket) *next++ = (ep_abi_setting){entry->key, entry->value};
    }
    *result = (ep_abi_config){.all = {all, count}};
}

static void send(const char *kind, const ep_abi_message *message, ep_abi_answer *result)
{
    const char *topic = print("%.*s", EP_SHOW(message->topic)), *method = print("%.*s", EP_SHOW(message->method));
    const char *args = print("%.*s", EP_SHOW(message->args));
    sent = print("%s%s %s %s %s\n", sent, kind, topic, method, args);
    ep_test_answer answer = {.cause = EP_UNROUTABLE};
    if (ep_test.answer) answer = ep_test.answer(topic, method, args);
    ep_text text = ep_text_of(answer.message ? answer.message : "");
    *result = (ep_abi_answer){.is_problem = !answer.result};
    if (answer.result) {
        result->result = ep_text_of(answer.result);
        return;
    }
    result->problem.kind = (uint8_t)(answer.cause - EP_NOT_GRANTED);
    if (answer.cause == EP_REMOTE) {
        result->problem.failure = (ep_abi_failure){
            .class_name = ep_text_of(answer.class_name), .module = ep_text_of(answer.module), .message = text};
    } else {
        result->problem.text = text;
    }
}

void ep_host_call(const ep_abi_message *message, ep_abi_answer *result)
{
    send("call", message, result);
}

void ep_host_cast(const ep_abi_message *message, ep_abi_answer *result)
{
    send("cast", message, result);
}

void ep_host_fanout(const ep_abi_message *message, ep_abi_answer *result)
{
    send("fanout", message, result);
}

static uint32_t open_handle(struct handle handle)
{
    handles = realloc(handles, (handle_count + 1) * sizeof *handles);
    if (!handles) abort();
    handle.is_open = true;
    handles[handle_count] = handle;
    return (uint32_t)handle_count++;
}

static const char *bucket_of(uint32_t bucket)
{
    if (!handles[bucket].is_open) abort();
    return handles[bucket].bucket;
}

static ep_abi_result outcome(const char *bucket)
{
    ep_abi_result result = {0};
    result.is_problem = ep_test.broken_bucket && !strcmp(bucket, ep_test.broken_bucket);
    if (result.is_problem) result.problem = (ep_abi_problem){2, ep_text_of("broken by the test")};
    return result;
}

void ep_host_bucket_open(const char *name, size_t name_size, ep_abi_result *result)
{
    const char *bucket = print("%.*s", (int)name_size, name);
    *result = (ep_abi_result){.handle = open_handle((struct handle){.bucket = bucket})};
}

void ep_host_bucket_close(uint32_t bucket)
{
    bucket_of(bucket);
    handles[bucket].is_open = false;
}

void ep_host_bucket_get(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result)
{
    ep_text value = value_of(bucket_of(bucket), (ep_text){key, key_size});
    *result = outcome(bucket_of(bucket));
    if (!result->is_problem) result->value = (ep_abi_option){value.data != NULL, value};
}

void ep_host_bucket_set(uint32_t bucket, const char *key, size_t key_size, const char *value, size_t value_size,
                        ep_abi_result *result)
{
    *result = outcome(bucket_of(bucket));
    ep_text text = {value ? value : "", value_size};
    if (!result->is_problem) put(bucket_of(bucket), (ep_text){key, key_size}, text);
}

void ep_host_bucket_delete(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result)
{
    *result = outcome(bucket_of(bucket));
    if (!result->is_problem) put(bucket_of(bucket), (ep_text){key, key_size}, (ep_text){NULL, 0});
}

void ep_host_bucket_exists(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result)
{
    *result = outcome(bucket_of(bucket));
    if (!result->is_problem) result->flag = value_of(bucket_of(bucket), (ep_text){key, key_size}).data != NULL;
}

/* Pages of two keys, the cursor being the last one. */
void ep_host_bucket_keys(uint32_t bucket, uint32_t has_cursor, const char *cursor, size_t cursor_size,
                         ep_abi_result *result)
{
    const char *name = bucket_of(bucket);
    *result = outcome(name);
    if (result->is_problem) return;
    ep_text *keys = (ep_text *)(void *)room(2 * sizeof *keys);
    size_t count = 0;
    bool has_begun = !has_cursor, has_more = false;
    for (struct entry *entry = entries; entry; entry = entry->next) {
        if (!entry->bucket || strcmp(entry->bucket, name)) continue;
        if (!has_begun) has_begun = ep_equals(entry->key, (ep_text){cursor, cursor_size});
        else if (count < 2) keys[count++] = entry->key;
        else has_more = true;
    }
    result->page = (ep_abi_page){keys, count, {has_more, has_more ? keys[1] : (ep_text){NULL, 0}}};
}

void ep_host_increment(uint32_t bucket, const char *key, size_t key_size, int64_t delta, ep_abi_sum *result)
{
    ep_abi_result read = outcome(bucket_of(bucket));
    *result = (ep_abi_sum){.is_problem = read.is_problem};
    ep_text value = value_of(bucket_of(bucket), (ep_text){key, key_size});
    char *end = NULL;
    errno = 0;
    long long number = value.data ? strtoll(value.data, &end, 10) : 0, sum;
    if (!read.is_problem && (errno || (end && *end) || __builtin_add_overflow(number, delta, &sum))) {
        result->is_problem = true;
        read.problem = (ep_abi_problem){2, ep_text_of("not a decimal number")};
    }
    if (result->is_problem) {
        result->problem = read.problem;
        return;
    }
    put(bucket_of(bucket), (ep_text){key, key_size}, ep_text_of(print("%lld", sum)));
    result->number = sum;
}

void ep_host_swap_open(uint32_t bucket, const char *key, size_t key_size, ep_abi_result *result)
{
    const char *name = bucket_of(bucket);
    *result = outcome(name);
    if (result->is_problem) return;
    ep_text value = value_of(name, (ep_text){key, key_size});
    uint32_t handle = open_handle((struct handle){name, copy((ep_text){key, key_size}), value, true});
    result->read = (ep_abi_read){handle, {value.data != NULL, value}};
}

void ep_host_swap_close(uint32_t swap)
{
    ep_host_bucket_close(swap);
}

void ep_host_swap(uint32_t swap, const char *value, size_t value_size, ep_abi_swapped *result)
{
    const char *bucket = bucket_of(swap);
    handles[swap].is_open = false;
    void (*before)(void) = ep_test.before_swap;
    ep_test.before_swap = NULL;
    if (before) before();
    ep_abi_result read = outcome(bucket);
    *result = (ep_abi_swapped){.is_problem = read.is_problem};
    if (read.is_problem) {
        result->problem = read.problem;
        return;
    }
    ep_text key = handles[swap].key, current = value_of(bucket, key);
    if (current.data != handles[swap].value.data) { /* each write makes a new copy */
        uint32_t handle = open_handle((struct handle){bucket, key, current, true});
        result->is_problem = true;
        result->kind = 1;
        result->newer = (ep_abi_read){handle, {current.data != NULL, current}};
        return;
    }
    put(bucket, key, (ep_text){value ? value : "", value_size});
}

void ep_host_now(ep_abi_time *result)
{
    *result = (ep_abi_time){(uint64_t)ep_test.now_ns / 1000000000, (uint32_t)(ep_test.now_ns % 1000000000)};
}

/* The same numbers in every run, by a linear congruence. */
uint64_t ep_host_random(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state;
}

#endif
