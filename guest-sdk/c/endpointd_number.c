/* Doubles as decimal text and back, exactly: a number is held as its decimal digits, which are doubled and halved until
 * they are the double's fraction, or the other way round. What is common goes a shorter way. */
#include "endpointd_internal.h"

/* No double has more than 767 digits that are not zero; of what a text has beyond these it only matters whether there
 * is anything. */
enum { most_digits = 800 };

/* 0.DIGITS times ten to the power of `point`; the first digit and the last are not zero, unless there are none. */
struct decimal {
    int count, point;
    bool has_more; /* digits that were left out, not all zero */
    uint8_t digits[most_digits];
};

static void trim(struct decimal *number)
{
    while (number->count > 0 && number->digits[number->count - 1] == 0) number->count--;
    if (number->count == 0) number->point = 0;
}

static void append(struct decimal *number, unsigned digit)
{
    if (number->count < most_digits) number->digits[number->count++] = (uint8_t)digit;
    else if (digit) number->has_more = true;
}

/* Divides by 2 to the power of `bits`, which is at most 60: as on paper, from the left. */
static void halve(struct decimal *number, int bits)
{
    uint64_t rest = 0, mask = ((uint64_t)1 << bits) - 1;
    int count = number->count, read = 0;
    number->count = 0;
    bool has_begun = false;
    while (read < count || rest) {
        rest = rest * 10 + (read < count ? number->digits[read] : 0);
        read++;
        unsigned digit = (unsigned)(rest >> bits);
        rest &= mask;
        if (digit) has_begun = true;
        /* There are never more digits than were read, so that none is overwritten before. */
        if (has_begun) append(number, digit);
        else number->point--;
    }
    trim(number);
}

/* Multiplies by 2 to the power of `bits`, which is at most 60: from the right. */
static void redouble(struct decimal *number, int bits)
{
    enum { most_new = 20 };
    uint8_t digits[most_digits + most_new];
    int start = number->count + most_new;
    uint64_t carry = 0;
    for (int i = number->count; i-- > 0 || carry;) {
        uint64_t sum = carry + (i >= 0 ? (uint64_t)number->digits[i] << bits : 0);
        digits[--start] = (uint8_t)(sum % 10);
        carry = sum / 10;
    }
    int count = number->count + most_new - start;
    number->point += count - number->count;
    number->count = 0;
    for (int i = 0; i < count; i++) append(number, digits[start + i]);
    trim(number);
}

static void scale(struct decimal *number, int bits)
{
    for (; bits > 60; bits -= 60) redouble(number, 60);
    for (; bits < -60; bits += 60) halve(number, 60);
    if (bits > 0) redouble(number, bits);
    if (bits < 0) halve(number, -bits);
}

/* Whether digit `at` and what follows round up: a half to the even number. */
static bool rounds_up(const struct decimal *number, int at)
{
    if (at < 0 || at >= number->count) return false;
    if (number->digits[at] != 5 || at + 1 < number->count || number->has_more) return number->digits[at] >= 5;
    return at > 0 && number->digits[at - 1] % 2 == 1;
}

/* The nearest whole number. */
static uint64_t rounded(const struct decimal *number)
{
    uint64_t whole = 0;
    for (int i = 0; i < number->point; i++) whole = whole * 10 + (i < number->count ? number->digits[i] : 0);
    return whole + rounds_up(number, number->point);
}

/* The nearest double, which is not negative. Uses the number up. */
static double nearest(struct decimal *number)
{
    if (number->count == 0 || number->point < -330) return 0;
    if (number->point > 310) return __builtin_inf();
    int exponent = 0;
    /* To from 1/2 to 1: ten to the power of n is more than two to the power of 3 n, and less than that of 4 n. */
    while (number->point > 0) {
        int bits = number->point < 20 ? number->point * 3 : 60;
        halve(number, bits);
        exponent += bits;
    }
    while (number->point < 0 || number->digits[0] < 5) {
        int bits = number->point == 0 ? 1 : -number->point < 20 ? -number->point * 3 : 60;
        redouble(number, bits);
        exponent -= bits;
    }
    /* A fraction of 53 bits, of fewer below the smallest normal number. */
    int lowest = exponent < -1021 ? -1074 : exponent - 53;
    scale(number, exponent - lowest);
    uint64_t fraction = rounded(number);
    if (fraction >> 53) {
        fraction >>= 1;
        lowest++;
    }
    if (lowest > 971) return __builtin_inf();
    uint64_t bits = fraction >> 52 ? (uint64_t)(lowest + 1075) << 52 | (fraction & 0xfffffffffffff) : fraction;
    double result;
    __builtin_memcpy(&result, &bits, sizeof result);
    return result;
}

static int read_exponent(const char *at, const char *end)
{
    bool is_negative = *at == '-';
    if (*at == '-' || *at == '+') at++;
    int exponent = 0;
    for (; at < end; at++) {
        if (exponent < 100000) exponent = exponent * 10 + (*at - '0');
    }
    return is_negative ? -exponent : exponent;
}

/* Up to 15 digits and powers of ten up to 22 are doubles themselves, so that one division or multiplication rounds
 * once. */
static bool read_short(const struct decimal *number, double *result)
{
    int exponent = number->point - number->count;
    if (number->count > 15 || number->has_more || exponent < -22 || exponent > 22) return false;
    double whole = 0, power = 1;
    for (int i = 0; i < number->count; i++) whole = whole * 10 + number->digits[i];
    for (int i = exponent < 0 ? -exponent : exponent; i > 0; i--) power *= 10;
    *result = exponent < 0 ? whole / power : whole * power;
    return true;
}

double ep_number_parse(const char *at, const char *end)
{
    bool is_negative = *at == '-';
    if (is_negative) at++;
    struct decimal number = {0};
    bool is_fraction = false;
    /* A text may be as long as one likes, and so its point as far away. */
    long long point = 0;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            is_fraction = true;
            continue;
        }
        bool is_leading_zero = *at == '0' && number.count == 0;
        if (is_fraction ? is_leading_zero : !is_leading_zero) point += is_fraction ? -1 : 1;
        if (!is_leading_zero) append(&number, (unsigned)(*at - '0'));
    }
    if (at < end) point += read_exponent(at + 1, end);
    number.point = point > 1000 ? 1000 : point < -1000 ? -1000 : (int)point;
    trim(&number);
    double result;
    if (!read_short(&number, &result)) result = nearest(&number);
    return is_negative ? -result : result;
}

/* The nearest number of so many digits. */
static void round_to(struct decimal *number, int count)
{
    bool up = rounds_up(number, count);
    if (number->count > count) number->count = count;
    number->has_more = false;
    if (up) {
        while (count > 0 && number->digits[count - 1] == 9) count--;
        number->count = count;
        if (count > 0) {
            number->digits[count - 1]++;
        } else {
            number->digits[number->count++] = 1;
            number->point++;
        }
    }
    trim(number);
}

/* As few digits as read back as the same double. */
static void shorten(struct decimal *number, uint64_t bits)
{
    /* What has 15 digits or fewer is among those of 15, but for the smallest doubles, which have less precision. */
    for (int count = bits >> 52 ? 15 : 1; count < 17; count++) {
        struct decimal shorter = *number, read_back;
        round_to(&shorter, count);
        read_back = shorter;
        double result;
        if (!read_short(&read_back, &result)) result = nearest(&read_back);
        if (__builtin_memcmp(&result, &bits, sizeof bits) == 0) {
            *number = shorter;
            return;
        }
    }
    round_to(number, 17);
}

static void add_digits(ep_buffer *buffer, const struct decimal *number, int from, int to)
{
    for (int i = from; i < to; i++) {
        ep_buffer_byte(buffer, i >= 0 && i < number->count ? (char)('0' + number->digits[i]) : '0');
    }
}

void ep_number_write(ep_buffer *buffer, double value)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    if (bits >> 63) ep_buffer_byte(buffer, '-');
    bits &= ~((uint64_t)1 << 63);
    struct decimal number = {0};
    int exponent = (int)(bits >> 52);
    uint64_t fraction = bits & 0xfffffffffffff;
    if (exponent) fraction |= (uint64_t)1 << 52;
    else exponent = 1;
    uint8_t digits[20];
    int start = sizeof digits;
    for (uint64_t left = fraction; left; left /= 10) digits[--start] = (uint8_t)(left % 10);
    for (int i = start; i < (int)sizeof digits; i++) append(&number, digits[i]);
    number.point = (int)sizeof digits - start;
    trim(&number);
    scale(&number, exponent - 1075);
    shorten(&number, bits);

    if (number.count == 0 || (number.point > -5 && number.point <= 16)) {
        if (number.point > 0) add_digits(buffer, &number, 0, number.point);
        else ep_buffer_byte(buffer, '0');
        ep_buffer_byte(buffer, '.');
        int end = number.count > number.point ? number.count : number.point + 1;
        add_digits(buffer, &number, number.point, end);
        return;
    }
    add_digits(buffer, &number, 0, 1);
    if (number.count > 1) {
        ep_buffer_byte(buffer, '.');
        add_digits(buffer, &number, 1, number.count);
    }
    ep_buffer_byte(buffer, 'e');
    ep_buffer_signed(buffer, number.point - 1);
}
