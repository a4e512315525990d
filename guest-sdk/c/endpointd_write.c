/* Writing JSON. */
#include "endpointd_internal.h"

struct ep_writer {
    ep_call *call;
    ep_buffer text;
    const char *problem;
    unsigned depth;
    bool needs_comma, has_key;
    bool is_object[EP_MOST_DEPTH]; /* what is open */
};

/* A text in quotes. */
static bool add_text(ep_buffer *out, ep_text text)
{
    const char *at = text.data, *end = text.data + text.size;
    ep_buffer_room(out, text.size + 2);
    ep_buffer_byte(out, '"');
    while (at < end) {
        const char *plain = at;
        unsigned char byte = 0;
        for (; at < end; at++) {
            byte = (unsigned char)*at;
            if (byte < 0x20 || byte == '"' || byte == '\\') break;
            if (byte >= 0x80) {
                size_t size = ep_character_size(at, end);
                if (size == 0) return false;
                at += size - 1;
            }
        }
        ep_buffer_add(out, plain, (size_t)(at - plain));
        if (at == end) break;
        at++;
        const char *letters = "\"\"\\\\\bb\ff\nn\rr\tt";
        while (*letters && (unsigned char)*letters != byte) letters += 2;
        ep_buffer_byte(out, '\\');
        if (*letters) {
            ep_buffer_byte(out, letters[1]);
        } else {
            ep_buffer_add(out, "u00", 3);
            ep_buffer_byte(out, (char)('0' + (byte >> 4)));
            ep_buffer_byte(out, "0123456789abcdef"[byte & 15]);
        }
    }
    ep_buffer_byte(out, '"');
    return true;
}

static bool add_number(ep_buffer *out, double value)
{
    bool is_finite = value - value == 0;
    if (is_finite) ep_number_write(out, value);
    return is_finite;
}

static const char not_utf8[] = "it has text that is not UTF-8";
static const char not_finite[] = "it has a number that is not finite";

static ep_json finished(ep_call *call, ep_buffer text, const char *problem)
{
    if (!problem) return (ep_json){text.data, text.size};
    call->no_json = problem;
    return (ep_json){NULL, 0};
}

const char *ep_no_json(ep_call *call, ep_json value)
{
    return value.data ? NULL : call->no_json;
}

/* What is too deep is not kept; there, whatever is written is taken to be right. */
static bool is_in_object(const ep_writer *out)
{
    if (out->depth > EP_MOST_DEPTH) return out->has_key;
    return out->depth && out->is_object[out->depth - 1];
}

/* Puts what goes before a value: a comma, a key. */
static ep_buffer *begin(ep_writer *out, const char *key)
{
    if (key) ep_write_key(out, ep_text_of(key));
    bool in_object = is_in_object(out);
    if (in_object != out->has_key) {
        ep_panic(in_object ? "a value is written into an object without a key" : "an array has no keys, such as '%s'", key);
    }
    if (out->needs_comma && !in_object) ep_buffer_byte(&out->text, ',');
    out->needs_comma = true;
    out->has_key = false;
    return &out->text;
}

void ep_write_key(ep_writer *out, ep_text key)
{
    if (out->has_key) ep_panic("two keys are written for one value, and the second is '%.*s'", EP_SHOW(key));
    if (out->needs_comma) ep_buffer_byte(&out->text, ',');
    if (!add_text(&out->text, key)) out->problem = not_utf8;
    ep_buffer_byte(&out->text, ':');
    out->has_key = true;
}

static void open(ep_writer *out, bool is_object)
{
    ep_buffer_byte(&out->text, is_object ? '{' : '[');
    out->needs_comma = false;
    if (out->depth < EP_MOST_DEPTH) out->is_object[out->depth] = is_object;
    else out->problem = "it is nested deeper than 256";
    out->depth++;
}

static ep_writer *start(ep_call *call, bool is_object)
{
    ep_writer *out = (ep_writer *)ep_allocate(call, sizeof *out);
    out->call = call;
    ep_buffer_room(&out->text, 256);
    open(out, is_object);
    return out;
}

ep_writer *ep_object(ep_call *call)
{
    return start(call, true);
}

ep_writer *ep_array(ep_call *call)
{
    return start(call, false);
}

ep_json ep_done(ep_writer *out)
{
    while (out->depth) ep_write_end(out);
    return finished(out->call, out->text, out->problem);
}

void ep_write_text(ep_writer *out, const char *key, ep_text value)
{
    ep_buffer *text = begin(out, key);
    if (!value.data) ep_buffer_add(text, "null", 4);
    else if (!add_text(text, value)) out->problem = not_utf8;
}

void ep_write_integer(ep_writer *out, const char *key, long long value)
{
    ep_buffer_signed(begin(out, key), value);
}

void ep_write_number(ep_writer *out, const char *key, double value)
{
    if (!add_number(begin(out, key), value)) out->problem = not_finite;
}

void ep_write_json(ep_writer *out, const char *key, ep_json value)
{
    const char *problem = ep_no_json(out->call, value);
    if (problem) out->problem = problem;
    if (!value.data) value = (ep_json){"null", 4};
    ep_buffer_add(begin(out, key), value.data, value.size);
}

void ep_write_flag(ep_writer *out, const char *key, bool value)
{
    ep_write_json(out, key, ep_flag_json(value));
}

void ep_write_null(ep_writer *out, const char *key)
{
    ep_write_text(out, key, (ep_text){NULL, 0});
}

void ep_write_object(ep_writer *out, const char *key)
{
    begin(out, key);
    open(out, true);
}

void ep_write_array(ep_writer *out, const char *key)
{
    begin(out, key);
    open(out, false);
}

void ep_write_end(ep_writer *out)
{
    if (out->depth == 0) ep_panic("more is ended than was begun");
    if (out->has_key) ep_panic("an object ends with a key that has no value");
    out->depth--;
    ep_buffer_byte(&out->text, out->depth < EP_MOST_DEPTH && !out->is_object[out->depth] ? ']' : '}');
    out->needs_comma = true;
}

ep_json ep_text_json(ep_call *call, ep_text value)
{
    ep_buffer text = {0};
    if (!value.data) return (ep_json){"null", 4};
    const char *problem = add_text(&text, value) ? NULL : not_utf8;
    return finished(call, text, problem);
}

ep_json ep_integer_json(ep_call *call, long long value)
{
    ep_buffer text = {0};
    ep_buffer_signed(&text, value);
    return finished(call, text, NULL);
}

ep_json ep_number_json(ep_call *call, double value)
{
    ep_buffer text = {0};
    const char *problem = add_number(&text, value) ? NULL : not_finite;
    return finished(call, text, problem);
}

ep_json ep_flag_json(bool value)
{
    return value ? (ep_json){"true", 4} : (ep_json){"false", 5};
}
