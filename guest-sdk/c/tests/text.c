#include "tests.h"

void test_text(void)
{
    ep_text name = {"a\0b", 3};
    EXPECT_TEXT("a%-5|  7|007|-07|7  |2a|2A|0|x", ep_format(NULL, "a%%%d|%3d|%03d|%03d|%-3d|%x|%X|%x|%c", -5, 7, 7, -7, 7, 42, 42, 0, 'x'));
    EXPECT_TEXT("-9223372036854775808 18446744073709551615", ep_format(NULL, "%lld %llu", -9223372036854775807 - 1, 18446744073709551615u));
    EXPECT_TEXT("1 2 3 -4 255", ep_format(NULL, "%zu %lu %hd %hhd %hhu", (size_t)1, 2ul, 3, -4, 255));
    EXPECT_TEXT("text  or 0.5 nan -inf", ep_format(NULL, "%s %s %s %g %g %g", "text", "", "or", 0.5, __builtin_nan(""), -__builtin_inf()));
    EXPECT(ep_equals(name, ep_format(NULL, "%.*s", EP_SHOW(name))));
    EXPECT_TEXT("    ab|ab   |", ep_format(NULL, "%6s|%-5.*s|", "ab", 2, "abc"));
    EXPECT_TEXT("", ep_format(NULL, "%s", ""));
    EXPECT(!ep_equals((ep_text){NULL, 0}, (ep_text){NULL, 0}) && ep_equals(ep_text_of(""), ep_text_of("")));
    EXPECT(ep_starts_with(ep_text_of("item/x"), ep_text_of("item/")) && !ep_starts_with(ep_text_of("it"), ep_text_of("item/")));
    EXPECT_TEXT("x", ep_after(ep_text_of("item/x"), 5));
    EXPECT_TEXT("", ep_after(ep_text_of("item"), 5));
    EXPECT_TEXT("\xef\xbf\xbd(\xc3\xa9\xef\xbf\xbd", ep_readable((ep_text){"\xff(\xc3\xa9\xe6\xbc", 6}) /* the last is cut */
                    .size == 12 ? ep_text_of("\xef\xbf\xbd(\xc3\xa9\xef\xbf\xbd") : ep_text_of("otherwise"));
    for (const char *const *bad = (const char *const[]){"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\x80", "\xc3", NULL}; *bad; bad++) {
        EXPECT(ep_character_size(*bad, *bad + strlen(*bad)) == 0);
    }
    for (const char *const *good = (const char *const[]){"a", "\xc3\xa9", "\xe6\xbc\xa2", "\xf0\x9f\xa6\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", NULL}; *good; good++) {
        EXPECT(ep_character_size(*good, *good + strlen(*good)) == strlen(*good));
    }
    ep_arena_reset();
}
