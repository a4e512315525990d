/* Reading JSON. A text is checked once, as a whole; from then on a value is the piece of it that it stands in. Nothing
 * here goes deeper by calling itself, so that no text can use up the stack. */
#include "endpointd_internal.h"

/* ---- Checking ------------------------------------------------------------------------------------------------- */

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Less than 16, or 16 for what is no digit. */
static unsigned hexadecimal(char byte)
{
    if (is_digit(byte)) return (unsigned)(byte - '0');
    byte |= 32;
    return byte >= 'a' && byte <= 'f' ? (unsigned)(byte - 'a' + 10) : 16;
}

/* The text being checked. These functions go on over what they are named after; `false` leaves `at` where it is no
 * JSON. */
struct reading {
    const char *at, *end;
};

static void skip_spaces(struct reading *in)
{
    while (in->at < in->end && is_space(*in->at)) in->at++;
}

static bool skip_escape(struct reading *in)
{
    if (++in->at == in->end) return false;
    char letter = *in->at;
    if (letter != 'u') {
        for (const char *known = "\"\\/bfnrt"; *known; known++) {
            if (letter == *known) {
                in->at++;
                return true;
            }
        }
        return false;
    }
    in->at++;
    for (int i = 0; i < 4; i++, in->at++) {
        if (in->at == in->end || hexadecimal(*in->at) == 16) return false;
    }
    return true;
}

static bool skip_string(struct reading *in)
{
    if (in->at == in->end || *in->at != '"') return false;
    in->at++;
    while (in->at < in->end) {
        unsigned char byte = (unsigned char)*in->at;
        if (byte == '"') {
            in->at++;
            return true;
        }
        if (byte == '\\') {
            if (!skip_escape(in)) return false;
        } else if (byte >= 0x80) {
            size_t size = ep_character_size(in->at, in->end);
            if (size == 0) return false;
            in->at += size;
        } else {
            if (byte < 0x20) return false;
            in->at++;
        }
    }
    return false;
}

static bool skip_digits(struct reading *in)
{
    if (in->at == in->end || !is_digit(*in->at)) return false;
    while (in->at < in->end && is_digit(*in->at)) in->at++;
    return true;
}

static bool skip_number(struct reading *in)
{
    if (*in->at == '-') in->at++;
    bool begins_with_zero = in->at < in->end && *in->at == '0';
    const char *start = in->at;
    if (!skip_digits(in)) return false;
    if (begins_with_zero && in->at > start + 1) {
        in->at = start + 1;
        return false;
    }
    if (in->at < in->end && *in->at == '.') {
        in->at++;
        if (!skip_digits(in)) return false;
    }
    if (in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
        in->at++;
        if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
        if (!skip_digits(in)) return false;
    }
    return true;
}

static bool skip_word(struct reading *in, const char *word)
{
    for (; *word; word++, in->at++) {
        if (in->at == in->end || *in->at != *word) return false;
    }
    return true;
}

static bool skip_scalar(struct reading *in)
{
    if (in->at == in->end) return false;
    switch (*in->at) {
    case '"': return skip_string(in);
    case 't': return skip_word(in, "true");
    case 'f': return skip_word(in, "false");
    case 'n': return skip_word(in, "null");
    default: return (*in->at == '-' || is_digit(*in->at)) && skip_number(in);
    }
}

static bool skip_key(struct reading *in)
{
    skip_spaces(in);
    if (!skip_string(in)) return false;
    skip_spaces(in);
    if (in->at == in->end || *in->at != ':') return false;
    in->at++;
    return true;
}

static bool skip_value(struct reading *in, bool *is_too_deep)
{
    char ends[EP_MOST_DEPTH]; /* of each array and object that is open */
    unsigned depth = 0;
    for (;;) {
        skip_spaces(in);
        if (in->at < in->end && (*in->at == '[' || *in->at == '{')) {
            *is_too_deep = depth == EP_MOST_DEPTH;
            if (*is_too_deep) return false;
            ends[depth++] = *in->at++ == '[' ? ']' : '}';
            skip_spaces(in);
            if (in->at == in->end) return false;
            if (*in->at != ends[depth - 1]) {
                if (ends[depth - 1] == '}' && !skip_key(in)) return false;
                continue;
            }
        } else if (!skip_scalar(in)) {
            return false;
        }
        for (;;) {
            if (depth == 0) return true;
            skip_spaces(in);
            if (in->at == in->end) return false;
            if (*in->at == ',') break;
            if (*in->at != ends[depth - 1]) return false;
            in->at++;
            depth--;
        }
        in->at++;
        if (ends[depth - 1] == '}' && !skip_key(in)) return false;
    }
}

bool ep_json_check(ep_text source, ep_json *value, const char **problem)
{
    struct reading in = {source.data, source.data + source.size};
    skip_spaces(&in);
    const char *start = in.at;
    bool is_too_deep = false, is_json = source.data && skip_value(&in, &is_too_deep);
    *value = is_json ? (ep_json){start, (size_t)(in.at - start)} : (ep_json){NULL, 0};
    if (is_json) skip_spaces(&in);
    if (is_json && in.at == in.end) return true;
    if (is_too_deep) {
        *problem = "it is nested deeper than 256";
    } else {
        *problem = ep_c_string(NULL, ep_format(NULL, "it is no JSON at byte %zu", (size_t)(in.at - source.data)));
    }
    return false;
}

ep_json ep_parse(ep_call *call, ep_text source)
{
    ep_json value;
    const char *problem;
    if (ep_json_check(source, &value, &problem)) return value;
    return ep_value_error(call, "the JSON is not as expected: %s", problem);
}

/* ---- Values of what was checked ------------------------------------------------------------------------------- */

/* An integer of a text that is a number; false where it is none or does not fit. */
static bool read_integer(ep_json value, long long *integer)
{
    bool is_negative = *value.data == '-';
    unsigned long long sum = 0, most = is_negative ? 1ull << 63 : ~(1ull << 63);
    for (size_t i = is_negative; i < value.size; i++) {
        if (!is_digit(value.data[i])) return false;
        unsigned digit = (unsigned)(value.data[i] - '0');
        if (sum > (most - digit) / 10) return false;
        sum = sum * 10 + digit;
    }
    *integer = (long long)(is_negative ? 0 - sum : sum);
    return true;
}

ep_kind ep_kind_of(ep_json value)
{
    if (!value.data || value.size == 0) return EP_NONE;
    long long integer;
    switch (*value.data) {
    case 'n': return EP_NULL;
    case 't':
    case 'f': return EP_FLAG;
    case '"': return EP_TEXT;
    case '[': return EP_ARRAY;
    case '{': return EP_OBJECT;
    default: return read_integer(value, &integer) ? EP_INTEGER : EP_NUMBER;
    }
}

long long ep_as_integer(ep_json value, long long otherwise)
{
    long long integer = otherwise;
    return ep_kind_of(value) == EP_INTEGER && read_integer(value, &integer) ? integer : otherwise;
}

double ep_as_number(ep_json value, double otherwise)
{
    ep_kind kind = ep_kind_of(value);
    if (kind != EP_INTEGER && kind != EP_NUMBER) return otherwise;
    return ep_number_parse(value.data, value.data + value.size);
}

bool ep_as_flag(ep_json value, bool otherwise)
{
    return ep_kind_of(value) == EP_FLAG ? *value.data == 't' : otherwise;
}

static unsigned read_unit(const char *digits)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) unit = unit << 4 | hexadecimal(digits[i]);
    return unit;
}

/* Decodes the escape that begins at `at`, and gives where it ends. */
static const char *decode_escape(const char *at, const char *end, char **to)
{
    char *out = *to;
    at += 2;
    if (at[-1] != 'u') {
        const char *letters = "b\bf\fn\nr\rt\t";
        while (*letters && *letters != at[-1]) letters += 2;
        *out = *letters ? letters[1] : at[-1];
        *to = out + 1;
        return at;
    }
    unsigned unit = read_unit(at);
    at += 4;
    if (unit >= 0xd800 && unit < 0xe000) {
        bool is_first = unit < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u';
        unsigned second = is_first ? read_unit(at + 2) : 0;
        if (second >= 0xdc00 && second < 0xe000) {
            unit = 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
            at += 6;
        } else {
            unit = 0xfffd;
        }
    }
    if (unit < 0x80) {
        *out++ = (char)unit;
    } else {
        unsigned more = unit < 0x800 ? 1 : unit < 0x10000 ? 2 : 3;
        *out++ = (char)((0xff00u >> (more + 1) & 0xff) | unit >> 6 * more);
        while (more--) *out++ = (char)(0x80 | (unit >> 6 * more & 0x3f));
    }
    *to = out;
    return at;
}

ep_text ep_as_text(ep_call *call, ep_json value)
{
    (void)call;
    if (ep_kind_of(value) != EP_TEXT) return (ep_text){NULL, 0};
    const char *at = value.data + 1, *end = value.data + value.size - 1, *start = at;
    while (at < end && *at != '\\') at++;
    if (at == end) return (ep_text){start, (size_t)(end - start)};
    /* No escape is shorter than what it stands for. */
    char *text = (char *)ep_arena_take((size_t)(end - start), 1), *to = text;
    for (at = start; at < end;) {
        const char *plain = at;
        while (at < end && *at != '\\') at++;
        __builtin_memcpy(to, plain, (size_t)(at - plain));
        to += at - plain;
        if (at < end) at = decode_escape(at, end, &to);
    }
    return (ep_text){text, (size_t)(to - text)};
}

/* Where the value that begins at `at` ends. */
static const char *end_of(const char *at)
{
    unsigned depth = 0;
    do {
        char byte = *at++;
        if (byte == '"') {
            while (*at != '"') at += *at == '\\' ? 2 : 1;
            at++;
        } else if (byte == '[' || byte == '{') {
            depth++;
        } else if (byte == ']' || byte == '}') {
            depth--;
        } else if (depth == 0) {
            while (!is_space(*at) && *at != ',' && *at != ':' && *at != ']' && *at != '}') at++;
        }
    } while (depth > 0);
    return at;
}

ep_items ep_each(ep_json value)
{
    ep_kind kind = ep_kind_of(value);
    bool has_items = kind == EP_ARRAY || kind == EP_OBJECT;
    return (ep_items){.rest = has_items ? value.data + 1 : NULL, .in_object = kind == EP_OBJECT};
}

static const char *past_spaces(const char *at)
{
    while (is_space(*at) || *at == ',' || *at == ':') at++;
    return at;
}

bool ep_next(ep_items *items)
{
    if (!items->rest) return false;
    const char *at = past_spaces(items->rest);
    if (*at == ']' || *at == '}') {
        items->rest = NULL;
        return false;
    }
    const char *end = end_of(at);
    if (items->in_object) {
        items->key = (ep_json){at, (size_t)(end - at)};
        at = past_spaces(end);
        end = end_of(at);
    }
    items->value = (ep_json){at, (size_t)(end - at)};
    items->rest = end;
    return true;
}

ep_json ep_member(ep_json object, const char *key)
{
    ep_json found = {NULL, 0};
    if (ep_kind_of(object) != EP_OBJECT) return found;
    for (ep_items members = ep_each(object); ep_next(&members);) {
        if (ep_equals_string(ep_as_text(NULL, members.key), key)) found = members.value;
    }
    return found;
}

/* ---- What is declared ----------------------------------------------------------------------------------------- */

static const char *name_of(int declared)
{
    static const char *const names[] = {
        [EP_NONE] = "nothing",    [EP_NULL] = "null", [EP_FLAG] = "true or false", [EP_INTEGER] = "an integer",
        [EP_NUMBER] = "a number", [EP_TEXT] = "text", [EP_ARRAY] = "an array",     [EP_OBJECT] = "an object",
    };
    return names[declared];
}

bool ep_kind_fits(ep_json value, int declared, ep_text *problem)
{
    ep_kind kind = ep_kind_of(value);
    if (declared == EP_ANY) return true;
    if (kind == (ep_kind)declared && kind != EP_NUMBER) return true;
    if (declared == EP_NUMBER && kind == EP_INTEGER) return true;
    const char *found = kind == EP_TEXT ? "that text" : name_of((int)kind);
    if (kind == EP_INTEGER) found = ep_c_string(NULL, (ep_text){value.data, value.size});
    if (kind == EP_NUMBER) {
        double number = ep_as_number(value, 0);
        if (declared == EP_NUMBER && number - number == 0) return true;
        bool is_whole = true;
        for (size_t i = 0; i < value.size; i++) {
            if (value.data[i] == '.' || (value.data[i] | 32) == 'e') is_whole = false;
        }
        found = is_whole || declared == EP_NUMBER ? "so large a number" : "a number with a fraction or an exponent";
    }
    *problem = ep_format(NULL, "%s is needed, not %s", name_of(declared), found);
    return false;
}
