/* What a plugin asks of its host, but for buckets and messages to others: the call itself, the log, settings, time and
 * chance. Each import is used in a function of its own, so that a plugin has only those it needs. */
#include "endpointd_internal.h"

ep_text ep_id(ep_call *call)
{
    (void)call;
    ep_text id;
    ep_host_id(&id);
    return id;
}

bool ep_is_cast(ep_call *call)
{
    (void)call;
    return ep_host_delivery() == 1;
}

long long ep_remaining_ms(ep_call *call)
{
    (void)call;
    ep_abi_number remaining;
    ep_host_remaining(&remaining);
    return remaining.is_some ? (long long)remaining.number : -1;
}

long long ep_host_started_ms(ep_call *call)
{
    (void)call;
    return (long long)ep_host_started();
}

static void log_text(ep_level level, ep_text message)
{
    message = ep_readable(message);
    ep_host_log((uint32_t)level, NULL, 0, message.data, message.size);
}

void ep_log(ep_call *call, ep_level level, const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    log_text(level, ep_format_list(call, format, arguments));
    __builtin_va_end(arguments);
}

void ep_panic(const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    log_text(EP_CRITICAL, ep_format_list(NULL, format, arguments));
    __builtin_trap();
}

ep_text ep_setting(ep_call *call, const char *name, const char *otherwise)
{
    (void)call;
    ep_abi_config result;
    ep_text key = ep_text_of(name);
    ep_host_setting(key.data, key.size, &result);
    return !result.is_problem && result.value.is_some ? result.value.text : ep_text_of(otherwise);
}

bool ep_integer_setting(ep_call *call, const char *name, long long *value)
{
    ep_text text = ep_setting(call, name, NULL);
    if (!text.data) return false;
    ep_json number;
    const char *problem;
    if (ep_json_check(text, &number, &problem) && ep_kind_of(number) == EP_INTEGER) {
        *value = ep_as_integer(number, 0);
        return true;
    }
    ep_value_error(call, "setting `%s` of the plugin is wrong: it is no integer", name);
    return false;
}

ep_json ep_settings(ep_call *call)
{
    ep_abi_config result;
    ep_host_settings(&result);
    ep_writer *out = ep_object(call);
    for (size_t i = 0; !result.is_problem && i < result.all.size; i++) {
        ep_write_key(out, result.all.items[i].name);
        ep_write_text(out, NULL, result.all.items[i].value);
    }
    return ep_done(out);
}

long long ep_now_ns(ep_call *call)
{
    (void)call;
    ep_abi_time now;
    ep_host_now(&now);
    return (long long)now.seconds * 1000000000 + now.nanoseconds;
}

uint64_t ep_random(ep_call *call)
{
    (void)call;
    return ep_host_random();
}

void ep_random_bytes(ep_call *call, void *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0) number = ep_random(call);
        ((uint8_t *)bytes)[i] = (uint8_t)(number >> i % 8 * 8);
    }
}

ep_text ep_uuid(ep_call *call)
{
    unsigned long long high = ep_random(call), low = ep_random(call);
    high = (high & ~0xf000ull) | 0x4000;
    low = (low & ~(3ull << 62)) | 2ull << 62;
    return ep_format(call, "%08llx-%04llx-%04llx-%04llx-%012llx", high >> 32, high >> 16 & 0xffff, high & 0xffff,
                     low >> 48, low & 0xffffffffffff);
}
