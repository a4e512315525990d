/* Text: comparing, UTF-8 and formatting. */
#include "endpointd_internal.h"

static size_t length_of(const char *string)
{
    size_t size = 0;
    while (string[size]) size++;
    return size;
}

ep_text ep_text_of(const char *string)
{
    return (ep_text){string, string ? length_of(string) : 0};
}

const char *ep_c_string(ep_call *call, ep_text text)
{
    char *copy = (char *)ep_allocate(call, text.size + 1);
    if (text.size) __builtin_memcpy(copy, text.data, text.size);
    return copy;
}

static bool same_bytes(const char *one, const char *other, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (one[i] != other[i]) return false;
    }
    return true;
}

bool ep_equals(ep_text one, ep_text other)
{
    return one.data && other.data && one.size == other.size && same_bytes(one.data, other.data, one.size);
}

bool ep_equals_string(ep_text text, const char *string)
{
    return ep_equals(text, ep_text_of(string));
}

bool ep_starts_with(ep_text text, ep_text prefix)
{
    return text.size >= prefix.size && same_bytes(text.data, prefix.data, prefix.size);
}

ep_text ep_after(ep_text text, size_t count)
{
    if (count > text.size) count = text.size;
    return count ? (ep_text){text.data + count, text.size - count} : text;
}

size_t ep_character_size(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t size = byte[0] < 0x80 ? 1 : byte[0] < 0xc2 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf5 ? 4 : 0;
    if (size > (size_t)(end - at)) return 0;
    for (size_t i = 1; i < size; i++) {
        if ((byte[i] & 0xc0) != 0x80) return 0;
    }
    /* Longer than need be, a surrogate, or beyond Unicode. */
    if (size == 3 && ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] >= 0xa0))) return 0;
    if (size == 4 && ((byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] >= 0x90))) return 0;
    return size;
}

ep_text ep_readable(ep_text text)
{
    const char *at = text.data, *end = text.data + text.size;
    size_t size;
    while (at < end && (size = ep_character_size(at, end))) at += size;
    if (at == end) return text;
    ep_buffer buffer = {0};
    for (at = text.data; at < end; at += size ? size : 1) {
        size = ep_character_size(at, end);
        ep_buffer_add(&buffer, size ? at : "\xef\xbf\xbd", size ? size : 3);
    }
    return (ep_text){buffer.data, buffer.size};
}

/* What stands between % and the letter. */
struct directive {
    bool pads_with_zeros, pads_right;
    int width, precision; /* -1 is none */
    char length;          /* as written; H is hh and L is ll */
};

static const char *read_directive(const char *at, struct directive *read, __builtin_va_list *arguments)
{
    *read = (struct directive){.precision = -1};
    for (; *at == '0' || *at == '-'; at++) {
        if (*at == '0') read->pads_with_zeros = true;
        if (*at == '-') read->pads_right = true;
    }
    for (; *at >= '0' && *at <= '9'; at++) read->width = read->width * 10 + (*at - '0');
    if (at[0] == '.' && at[1] == '*') {
        read->precision = __builtin_va_arg(*arguments, int);
        at += 2;
    }
    if (*at == 'h' || *at == 'l' || *at == 'z' || *at == 'j' || *at == 't') {
        read->length = *at++;
        if (*at == 'h') read->length = 'H', at++;
        if (*at == 'l') read->length = 'L', at++;
    }
    return at;
}

static unsigned long long read_integer(char length, __builtin_va_list *arguments, bool is_signed)
{
    switch (length) {
    case 'L': return __builtin_va_arg(*arguments, unsigned long long);
    case 'j': return __builtin_va_arg(*arguments, uintmax_t);
    case 'l': return is_signed ? (unsigned long long)__builtin_va_arg(*arguments, long)
                               : __builtin_va_arg(*arguments, unsigned long);
    case 'z':
    case 't': return is_signed ? (unsigned long long)__builtin_va_arg(*arguments, ptrdiff_t)
                               : __builtin_va_arg(*arguments, size_t);
    default: break;
    }
    int number = __builtin_va_arg(*arguments, int);
    if (is_signed) return (unsigned long long)(length == 'H' ? (signed char)number : length == 'h' ? (short)number : number);
    return length == 'H' ? (unsigned char)number : length == 'h' ? (unsigned short)number : (unsigned int)number;
}

static void add_hexadecimal(ep_buffer *text, unsigned long long number, char letter)
{
    int shift = 60;
    while (shift > 0 && !(number >> shift)) shift -= 4;
    for (; shift >= 0; shift -= 4) {
        char digit = "0123456789abcdef"[number >> shift & 15];
        ep_buffer_byte(text, letter == 'X' && digit > '9' ? (char)(digit - 32) : digit);
    }
}

/* One value, without what fills it up. */
static void add_value(ep_buffer *text, char letter, const struct directive *how, __builtin_va_list *arguments)
{
    switch (letter) {
    case 'd':
    case 'i': ep_buffer_signed(text, (long long)read_integer(how->length, arguments, true)); break;
    case 'u': ep_buffer_unsigned(text, read_integer(how->length, arguments, false)); break;
    case 'x':
    case 'X': add_hexadecimal(text, read_integer(how->length, arguments, false), letter); break;
    case 'p': add_hexadecimal(text, (uintptr_t)__builtin_va_arg(*arguments, void *), 'x'); break;
    case 'c': ep_buffer_byte(text, (char)__builtin_va_arg(*arguments, int)); break;
    case 's': {
        const char *string = __builtin_va_arg(*arguments, const char *);
        if (string) ep_buffer_add(text, string, how->precision < 0 ? length_of(string) : (size_t)how->precision);
        break;
    }
    case 'g': {
        double number = __builtin_va_arg(*arguments, double);
        if (number - number == 0) ep_number_write(text, number);
        else ep_buffer_add(text, number != number ? "nan" : number > 0 ? "inf" : "-inf", number < 0 ? 4 : 3);
        break;
    }
    case '%': ep_buffer_byte(text, '%'); break;
    default: ep_panic("a format has %%%c, which is none that this library knows", letter);
    }
}

/* Fills up what begins at `start` to the width. */
static void pad(ep_buffer *text, size_t start, const struct directive *how)
{
    size_t size = text->size - start, width = (size_t)how->width;
    if (size >= width) return;
    size_t missing = width - size;
    ep_buffer_room(text, missing);
    char *value = text->data + start;
    size_t sign = how->pads_with_zeros && size && *value == '-' ? 1 : 0;
    char *to = how->pads_right ? value + size : value + sign;
    if (!how->pads_right) __builtin_memmove(to + missing, to, size - sign);
    __builtin_memset(to, how->pads_with_zeros && !how->pads_right ? '0' : ' ', missing);
    text->size += missing;
}

ep_text ep_format_list(ep_call *call, const char *format, __builtin_va_list arguments)
{
    (void)call;
    ep_buffer text = {0};
    ep_buffer_room(&text, 64);
    /* A va_list that is a parameter may be a pointer, of which none can be taken as of a va_list. */
    __builtin_va_list left;
    __builtin_va_copy(left, arguments);
    while (*format) {
        size_t plain = 0;
        while (format[plain] && format[plain] != '%') plain++;
        ep_buffer_add(&text, format, plain);
        format += plain;
        if (!*format) break;
        struct directive how;
        format = read_directive(format + 1, &how, &left);
        size_t start = text.size;
        add_value(&text, *format, &how, &left);
        pad(&text, start, &how);
        if (*format) format++;
    }
    __builtin_va_end(left);
    return (ep_text){text.data, text.size};
}

ep_text ep_format(ep_call *call, const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    ep_text text = ep_format_list(call, format, arguments);
    __builtin_va_end(arguments);
    return text;
}
