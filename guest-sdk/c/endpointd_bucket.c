/* Buckets. */
#include "endpointd_internal.h"

static void fail(ep_call *call, ep_cause cause, const char *what, ep_text detail, const char *end)
{
    ep_raise(call, (ep_failure){
                       .module = "endpointd",
                       .class_name = "BucketError",
                       .message = ep_format(call, "%s%.*s%s", what, EP_SHOW(detail), end),
                       .cause = cause,
                   });
}

/* Once a bucket is open, its name can no longer be what is wrong. */
static bool succeeded(ep_call *call, bool is_problem, const ep_abi_problem *problem)
{
    if (!is_problem) return true;
    ep_text why = ep_text_of(problem->kind == 0 ? "it is gone" : "it is no longer granted");
    fail(call, EP_BUCKET_FAILED, "the bucket failed: ", problem->kind > 1 ? problem->text : why, "");
    return false;
}

static bool is_usable(ep_bucket bucket)
{
    if (ep_failed(bucket.call)) return false;
    if (!bucket.is_open) fail(bucket.call, EP_BUCKET_FAILED, "the bucket failed: ", ep_text_of("it is not open"), "");
    return bucket.is_open;
}

static ep_text value_of(ep_abi_option value)
{
    return value.is_some ? value.text : (ep_text){NULL, 0};
}

static void unexpected(ep_call *call, ep_text why)
{
    fail(call, EP_UNEXPECTED_VALUE, "a value of the bucket is not as expected: ", why, "");
}

static ep_json read(ep_call *call, ep_text text, ep_kind kind)
{
    ep_json value;
    const char *no_json;
    ep_text problem;
    if (!text.data) return (ep_json){NULL, 0};
    if (!ep_json_check(text, &value, &no_json)) problem = ep_text_of(no_json);
    else if (ep_kind_fits(value, kind, &problem)) return value;
    unexpected(call, problem);
    return (ep_json){NULL, 0};
}

/* A value as bytes; false where it is none that can be written. */
static bool write(ep_call *call, ep_json value, ep_text *text)
{
    const char *problem = ep_no_json(call, value);
    if (problem) unexpected(call, ep_text_of(problem));
    *text = value.data ? (ep_text){value.data, value.size} : (ep_text){"null", 4};
    return !problem;
}

ep_bucket ep_bucket_open(ep_call *call, const char *name)
{
    ep_bucket bucket = {call, 0, false};
    if (ep_failed(call)) return bucket;
    ep_text text = ep_text_of(name);
    ep_abi_result result;
    ep_host_bucket_open(text.data, text.size, &result);
    if (!result.is_problem) {
        ep_open(call, result.handle, ep_host_bucket_close);
        return (ep_bucket){call, result.handle, true};
    }
    switch (result.problem.kind) {
    case 0: fail(call, EP_NO_SUCH_BUCKET, "there is no bucket `", text, "`"); break;
    case 1: fail(call, EP_ACCESS_DENIED, "the bucket `", text, "` is not granted to this plugin"); break;
    default: fail(call, EP_BUCKET_FAILED, "the bucket failed: ", result.problem.text, ""); break;
    }
    return bucket;
}

ep_text ep_bucket_get(ep_bucket bucket, ep_text key)
{
    ep_abi_result result;
    if (!is_usable(bucket)) return (ep_text){NULL, 0};
    ep_host_bucket_get(bucket.handle, key.data, key.size, &result);
    return succeeded(bucket.call, result.is_problem, &result.problem) ? value_of(result.value) : (ep_text){NULL, 0};
}

ep_json ep_bucket_get_json(ep_bucket bucket, ep_text key, ep_kind kind)
{
    return read(bucket.call, ep_bucket_get(bucket, key), kind);
}

void ep_bucket_set(ep_bucket bucket, ep_text key, ep_text value)
{
    ep_abi_result result;
    if (!is_usable(bucket)) return;
    ep_host_bucket_set(bucket.handle, key.data, key.size, value.data, value.size, &result);
    succeeded(bucket.call, result.is_problem, &result.problem);
}

void ep_bucket_set_json(ep_bucket bucket, ep_text key, ep_json value)
{
    ep_text text;
    if (write(bucket.call, value, &text)) ep_bucket_set(bucket, key, text);
}

void ep_bucket_delete(ep_bucket bucket, ep_text key)
{
    ep_abi_result result;
    if (!is_usable(bucket)) return;
    ep_host_bucket_delete(bucket.handle, key.data, key.size, &result);
    succeeded(bucket.call, result.is_problem, &result.problem);
}

bool ep_bucket_exists(ep_bucket bucket, ep_text key)
{
    ep_abi_result result;
    if (!is_usable(bucket)) return false;
    ep_host_bucket_exists(bucket.handle, key.data, key.size, &result);
    return succeeded(bucket.call, result.is_problem, &result.problem) && result.flag;
}

ep_keys ep_bucket_keys(ep_bucket bucket)
{
    ep_buffer all = {0}; /* of texts */
    ep_abi_option cursor = {false, {NULL, 0}};
    if (!is_usable(bucket)) return (ep_keys){NULL, 0};
    do {
        ep_abi_result result;
        ep_host_bucket_keys(bucket.handle, cursor.is_some, cursor.text.data, cursor.text.size, &result);
        if (!succeeded(bucket.call, result.is_problem, &result.problem)) return (ep_keys){NULL, 0};
        ep_buffer_add(&all, (const char *)result.page.keys, result.page.size * sizeof(ep_text));
        cursor = result.page.cursor;
    } while (cursor.is_some);
    return (ep_keys){(const ep_text *)(const void *)all.data, all.size / sizeof(ep_text)};
}

long long ep_bucket_increment(ep_bucket bucket, ep_text key, long long delta)
{
    ep_abi_sum result;
    if (!is_usable(bucket)) return 0;
    ep_host_increment(bucket.handle, key.data, key.size, delta, &result);
    return succeeded(bucket.call, result.is_problem, &result.problem) ? result.number : 0;
}

ep_swap ep_bucket_swap(ep_bucket bucket, ep_text key)
{
    ep_swap swap = {bucket, {NULL, 0}, NULL};
    ep_abi_result result;
    if (!is_usable(bucket)) return swap;
    ep_host_swap_open(bucket.handle, key.data, key.size, &result);
    if (!succeeded(bucket.call, result.is_problem, &result.problem)) return swap;
    swap.current = value_of(result.read.value);
    swap.opened = ep_open(bucket.call, result.read.handle, ep_host_swap_close);
    return swap;
}

ep_json ep_swap_json(const ep_swap *swap, ep_kind kind)
{
    return read(swap->bucket.call, swap->current, kind);
}

bool ep_swap_set(ep_swap *swap, ep_text value)
{
    ep_call *call = swap->bucket.call;
    if (!is_usable(swap->bucket)) return true;
    if (!swap->opened || !swap->opened->is_open) {
        fail(call, EP_BUCKET_FAILED, "the bucket failed: ", ep_text_of("the value has been replaced before"), "");
        return true;
    }
    ep_abi_swapped result;
    swap->opened->is_open = false; /* the host takes the handle, whatever comes of it */
    ep_host_swap(swap->opened->handle, value.data, value.size, &result);
    if (result.is_problem && result.kind == 1) {
        swap->current = value_of(result.newer.value);
        swap->opened->handle = result.newer.handle;
        swap->opened->is_open = true;
        return false;
    }
    succeeded(call, result.is_problem, &result.problem);
    return true;
}

bool ep_swap_set_json(ep_swap *swap, ep_json value)
{
    ep_text text;
    return !write(swap->bucket.call, value, &text) || ep_swap_set(swap, text);
}
