#include "tests.h"

int main(void)
{
    test_text();
    test_numbers();
    test_json();
    test_requests();
    test_host();
    puts("all is as expected");
    return 0;
}
