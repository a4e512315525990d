#include "tests.h"

#include <math.h>

static double parsed(const char *text)
{
    return ep_number_parse(text, text + strlen(text));
}

static ep_text written(double number)
{
    ep_buffer buffer = {0};
    ep_number_write(&buffer, number);
    return (ep_text){buffer.data, buffer.size};
}

static double of_bits(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* It reads back, has no more digits than need be, and libc reads both the same. */
static void check(double number)
{
    const char *text = ep_c_string(NULL, written(number));
    double back = parsed(text), expected = strtod(text, NULL);
    if (memcmp(&back, &number, sizeof back) || memcmp(&expected, &number, sizeof back)) {
        fprintf(stderr, "%.17g was written as %s and read as %.17g\n", number, text, back);
        exit(1);
    }
    int digits = 0;
    bool has_begun = false;
    for (const char *at = text; *at && *at != 'e'; at++) {
        if (*at >= '1' && *at <= '9') has_begun = true;
        digits += has_begun && *at != '.';
    }
    char shorter[40];
    for (int precision = 1; precision < 17; precision++) {
        snprintf(shorter, sizeof shorter, "%.*e", precision - 1, number);
        if (strtod(shorter, NULL) == number) {
            bool has_zeros = strchr(text, 'e') == NULL;
            if (!has_zeros && digits > precision) {
                fprintf(stderr, "%s could be %s\n", text, shorter);
                exit(1);
            }
            break;
        }
    }
}

void test_numbers(void)
{
    EXPECT_TEXT("0.0", written(0));
    EXPECT_TEXT("-0.0", written(-0.0));
    EXPECT_TEXT("3.0", written(3));
    EXPECT_TEXT("0.1", written(0.1));
    EXPECT_TEXT("-2.5", written(-2.5));
    EXPECT_TEXT("0.00001", written(1e-5));
    EXPECT_TEXT("1e-6", written(1e-6));
    EXPECT_TEXT("1234567890123456.0", written(1234567890123456));
    EXPECT_TEXT("1e16", written(1e16));
    EXPECT_TEXT("1.5e300", written(1.5e300));
    EXPECT_TEXT("5e-324", written(5e-324));
    EXPECT_TEXT("1.7976931348623157e308", written(1.7976931348623157e308));
    EXPECT_TEXT("0.30000000000000004", written(0.1 + 0.2));
    EXPECT(isinf(parsed("1e309")) && parsed("-1e309") < 0);
    EXPECT(isinf(parsed("1e999999999999")));
    EXPECT(parsed("1e-999999999999") == 0);
    EXPECT(signbit(parsed("-0.0")));
    EXPECT(parsed("0.000") == 0 && parsed("0e5") == 0);
    EXPECT(parsed("12300E-2") == 123 && parsed("1.5e+3") == 1500);

    /* Halves go to the even fraction, and what is a little more than a half does not. */
    EXPECT(parsed("9007199254740993") == 9007199254740992);
    EXPECT(parsed("9007199254740995") == 9007199254740996);
    static char text[1200];
    snprintf(text, sizeof text, "9007199254740993.%01000d1", 0);
    EXPECT(parsed(text) == 9007199254740994);
    /* The largest number, and a half more. */
    EXPECT(parsed("1.7976931348623158e308") == 1.7976931348623157e308);
    EXPECT(isinf(parsed("1.7976931348623159e308")));
    /* Half of the smallest number, and more. */
    EXPECT(parsed("2.4703282292062327e-324") == 0);
    EXPECT(parsed("2.4703282292062328e-324") == 5e-324);
    EXPECT(parsed("2.2250738585072011e-308") == 2.2250738585072011e-308);

    uint64_t state = 42;
    for (int i = 0; i < 50000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double number = of_bits(state ^ state >> 29);
        if (isfinite(number)) check(number);
        check((double)(state >> 11) / 1000);
        check(of_bits(state >> 12)); /* below the normal ones */
        if (i % 50 == 0) ep_arena_reset();
    }
    for (int exponent = 0; exponent < 2047; exponent++) {
        check(of_bits((uint64_t)exponent << 52 | 1));
        check(of_bits(((uint64_t)exponent << 52) + 0xfffffffffffff));
    }
    for (int i = 0; i < 20000; i++) {
        /* As libc reads texts that are no double exactly. */
        state = state * 6364136223846793005u + 1442695040888963407u;
        snprintf(text, sizeof text, "%llu.%llue%d", (unsigned long long)(state >> 20), (unsigned long long)(state >> 7),
                 (int)(state % 640) - 330);
        EXPECT(parsed(text) == strtod(text, NULL));
    }
    ep_arena_reset();
}
