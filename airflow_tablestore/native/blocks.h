/* What blocks of rows are made of, wherever they come from: tags, types, checksums, text. */

#ifndef TABLESTORE_BLOCKS_H
#define TABLESTORE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

enum { IRREGULAR = -1, NO_MEMORY = -2 };

enum { TAG_KEY = 1, TAG_CELLS, TAG_CELL, TAG_NAME, TAG_VALUE, TAG_OP, TAG_TIMESTAMP, TAG_DELETE, TAG_ROW_CHECKSUM,
       TAG_CELL_CHECKSUM, TAG_EXTENSION, TAG_SEQUENCE, TAG_EPOCH, TAG_SEQUENCE_TIME, TAG_ROW_INDEX };

enum { INTEGER = 0, DOUBLE = 1, BOOLEAN = 2, STRING = 3, MATRIX_NULL = 6, BINARY = 7 };

static inline uint32_t read_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }

/* ---- checksums: CRC-8, polynomial 7, continued from `sum` */

typedef struct {
    uint8_t of[16][256]; /* of[k][b]: checksum of byte b and k zeros after it */
} checksums;

static inline void make_checksums(checksums *d)
{
    for (int b = 0; b < 256; b++) {
        uint8_t c = (uint8_t)b;
        for (int bit = 0; bit < 8; bit++)
            c = (uint8_t)((c << 1) ^ (c & 0x80 ? 0x07 : 0));
        d->of[0][b] = c;
    }
    for (int k = 1; k < 16; k++)
        for (int b = 0; b < 256; b++)
            d->of[k][b] = d->of[0][d->of[k - 1][b]];
}

static inline uint8_t crc_tail(const checksums *d, const uint8_t *p, size_t size, uint8_t sum)
{
    if (size == 0)
        return sum;
    uint8_t total = d->of[size - 1][p[0] ^ sum];
    for (size_t i = 1; i < size; i++)
        total ^= d->of[size - 1 - i][p[i]];
    return total;
}

static inline uint8_t crc_of(const checksums *d, const uint8_t *p, size_t size, uint8_t sum)
{
    const uint8_t (*t)[256] = d->of;
    for (; size >= 16; size -= 16, p += 16)
        sum = t[15][p[0] ^ sum] ^ t[14][p[1]] ^ t[13][p[2]] ^ t[12][p[3]] ^ t[11][p[4]] ^ t[10][p[5]] ^ t[9][p[6]]
            ^ t[8][p[7]] ^ t[7][p[8]] ^ t[6][p[9]] ^ t[5][p[10]] ^ t[4][p[11]] ^ t[3][p[12]] ^ t[2][p[13]]
            ^ t[1][p[14]] ^ t[0][p[15]];
    return crc_tail(d, p, size, sum);
}

static inline uint8_t crc_eight(const checksums *d, const uint8_t *p, uint8_t sum)
{
    const uint8_t (*t)[256] = d->of;
    return t[7][p[0] ^ sum] ^ t[6][p[1]] ^ t[5][p[2]] ^ t[4][p[3]] ^ t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
}

/* ---- text: whether bytes are UTF-8 as Python reads it (no surrogates, nothing longer than needed) */

static inline int is_utf8(const uint8_t *p, size_t size)
{
    const uint8_t *end = p + size;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t eight;
            memcpy(&eight, p, 8);
            if (!(eight & 0x8080808080808080u)) {
                p += 8;
                continue;
            }
        }
        uint8_t first = *p++;
        if (first < 0x80)
            continue;
        int more;
        uint8_t low = 0x80, high = 0xBF; /* what the second byte may be */
        if (first >= 0xC2 && first <= 0xDF)
            more = 1;
        else if (first >= 0xE0 && first <= 0xEF) {
            more = 2;
            if (first == 0xE0) low = 0xA0;
            if (first == 0xED) high = 0x9F;
        } else if (first >= 0xF0 && first <= 0xF4) {
            more = 3;
            if (first == 0xF0) low = 0x90;
            if (first == 0xF4) high = 0x8F;
        } else
            return 0;
        if (end - p < more || *p < low || *p > high)
            return 0;
        for (p++; --more; p++)
            if ((*p & 0xC0) != 0x80)
                return 0;
    }
    return 1;
}

/* ---- names */

/* Of a name; keys and attributes are told apart. */
static inline uint32_t hash_of(const uint8_t *name, size_t size, int is_key)
{
    uint32_t h = is_key ? 2166136261u : 2166136261u ^ 0x5bd1e995u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ name[i]) * 16777619u;
    return h ^ h >> 15;
}

#endif
