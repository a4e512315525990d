/* The memory of a request: an arena that begins anew after each reply, so that what one needs the next one uses again.
 * It grows by itself, and ends the instance where it cannot. */
#include "endpointd_internal.h"

/* A piece of memory. There is more than one only where somebody else, such as a `malloc`, took what lies between. */
struct chunk {
    struct chunk *next;
    char *end;
};

static struct chunk *first, *current;
static char *top; /* of what is taken of the current one */

static struct chunk *chunk_of(char *start, char *end)
{
    struct chunk *chunk = (struct chunk *)start;
    chunk->next = NULL;
    chunk->end = end;
    return chunk;
}

#ifdef __wasm__

enum { page = 65536, header = 16 };

extern char __heap_base;
/* Weak, so that it is there only where the plugin uses one: then what is below the end of memory is its own. */
extern void *malloc(size_t size) __attribute__((weak));

static char *memory_end(void)
{
    return (char *)(__builtin_wasm_memory_size(0) * page);
}

/* Takes `pages` more and gives where they begin. */
static char *grow(size_t pages)
{
    size_t before = __builtin_wasm_memory_grow(0, pages);
    if (before == (size_t)-1) __builtin_trap();
    return (char *)(before * page);
}

/* Makes room for `size` bytes more after the last chunk, in it or in another one. */
static void add(struct chunk *last, size_t size)
{
    if (!last && !malloc) {
        char *start = &__heap_base + (-(uintptr_t)&__heap_base & (header - 1));
        if (start + header <= memory_end()) {
            first = chunk_of(start, memory_end());
            return;
        }
    }
    size_t pages = (size + header) / page + 1;
    if (pages >= page) __builtin_trap();
    if (last && last->end == memory_end()) {
        grow(pages);
        last->end = memory_end();
        return;
    }
    struct chunk *chunk = chunk_of(grow(pages), memory_end());
    *(last ? &last->next : &first) = chunk;
}

#else

#include <stdlib.h>

enum { header = 16 };

static void add(struct chunk *last, size_t size)
{
    size_t whole = size + header < 65536 ? 65536 : size + header;
    char *start = malloc(whole);
    if (!start) abort();
    *(last ? &last->next : &first) = chunk_of(start, start + whole);
}

#endif

void *ep_arena_take(size_t size, size_t alignment)
{
    for (;;) {
        if (current) {
            char *start = top + (-(uintptr_t)top & (alignment - 1));
            if (start <= current->end && size <= (size_t)(current->end - start)) {
                top = start + size;
                return start;
            }
        }
        struct chunk **next = current ? &current->next : &first;
        if (!*next) add(current, size + alignment < size ? size : size + alignment);
        if (!*next) continue; /* the last one became larger */
        current = *next;
        top = (char *)current + header;
    }
}

void *ep_arena_extend(void *old, size_t old_size, size_t size)
{
    if (current && (char *)old + old_size == top && size <= (size_t)(current->end - (char *)old)) {
        top = (char *)old + size;
        return old;
    }
    void *new_block = ep_arena_take(size, 16);
    if (old_size) __builtin_memcpy(new_block, old, old_size);
    return new_block;
}

void ep_arena_reset(void)
{
    current = NULL;
}

EP_EXPORT("cabi_realloc")
void *ep_export_realloc(void *old, size_t old_size, size_t alignment, size_t size)
{
    /* The host wants a pointer even to nothing. */
    if (size == 0) return (void *)alignment;
    void *block = ep_arena_take(size, alignment);
    if (old_size) __builtin_memcpy(block, old, old_size < size ? old_size : size);
    return block;
}

void *ep_allocate(ep_call *call, size_t size)
{
    (void)call;
    void *block = ep_arena_take(size, 16);
    __builtin_memset(block, 0, size);
    return block;
}

char *ep_buffer_room(ep_buffer *buffer, size_t size)
{
    size_t needed = buffer->size + size;
    if (needed < size) ep_panic("a text of more than 4 GiB");
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity * 2 > needed ? buffer->capacity * 2 : needed + 64;
        buffer->data = (char *)ep_arena_extend(buffer->data, buffer->capacity, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void ep_buffer_add(ep_buffer *buffer, const char *data, size_t size)
{
    if (size) __builtin_memcpy(ep_buffer_room(buffer, size), data, size);
    buffer->size += size;
}

void ep_buffer_byte(ep_buffer *buffer, char byte)
{
    *ep_buffer_room(buffer, 1) = byte;
    buffer->size++;
}

void ep_buffer_unsigned(ep_buffer *buffer, unsigned long long number)
{
    char digits[20];
    size_t start = sizeof digits;
    do digits[--start] = (char)('0' + number % 10);
    while (number /= 10);
    ep_buffer_add(buffer, digits + start, sizeof digits - start);
}

void ep_buffer_signed(ep_buffer *buffer, long long number)
{
    if (number < 0) ep_buffer_byte(buffer, '-');
    ep_buffer_unsigned(buffer, number < 0 ? -(unsigned long long)number : (unsigned long long)number);
}

#ifdef __wasm__

/* What a compiler may call of itself. Weak, as a libc has its own. */
#define WEAK __attribute__((weak, no_builtin))

WEAK void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    for (size_t i = 0; i < size; i++) ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

WEAK void *memmove(void *to, const void *from, size_t size)
{
    if (to < from) return memcpy(to, from, size);
    while (size--) ((char *)to)[size] = ((const char *)from)[size];
    return to;
}

WEAK void *memset(void *to, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++) ((char *)to)[i] = (char)byte;
    return to;
}

WEAK int memcmp(const void *one, const void *other, size_t size)
{
    const unsigned char *a = (const unsigned char *)one, *b = (const unsigned char *)other;
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) return a[i] - b[i];
    }
    return 0;
}

WEAK size_t strlen(const char *string)
{
    size_t size = 0;
    while (string[size]) size++;
    return size;
}

#endif
