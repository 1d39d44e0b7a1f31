#include "daemon/common/record.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <xxhash.h>

static const char magic[8] = "ftd-up1";

/* Nobody comes so far; what says so would leave no place for what is newer. */
#define SEQUENCE_MAX (UINT64_MAX / 4)
enum { CHECK = 8, HOW_MAX = 2, MODE_MAX = 07777 };
enum flag {
	FLAG_MTIME = 1 << 0,
	FLAG_MODE = 1 << 1,
	FLAG_DIGEST = 1 << 2,
	FLAG_MATCH = 1 << 3,
	FLAG_PARENTS = 1 << 4,
	FLAG_ELSEWHERE = 1 << 5,
	FLAG_SHARES = 1 << 6,
	FLAG_ALL = (1 << 7) - 1,
};

/* As it lies there. */
struct disk_head {
	char magic[sizeof(magic)];
	uint64_t size, mtime_ns, begun_ns;
	uint32_t flags, mode, how, algorithm;
	uint8_t digest[DIGEST_MAX];
	char etag[RECORD_ETAG_MAX];
	char user[40];
	char name[PATH_BYTES_MAX + 1];
};
_Static_assert(sizeof(struct disk_head) <= RECORD_HEAD - CHECK, "the head does not fit");
_Static_assert(USER_NAME_MAX < sizeof(((struct disk_head *)0)->user), "a user does not fit");

struct disk_slot {
	uint64_t sequence, received, parts;
	uint64_t size;     /* of what is being published */
	uint32_t phase, n; /* ranges, or bytes of the receipt */
	uint8_t payload[RECORD_RECEIPT_MAX];
};
_Static_assert(sizeof(struct disk_slot) <= RECORD_SLOT - CHECK, "a slot does not fit");
_Static_assert(RECORD_RANGES_MAX * 2 * sizeof(uint64_t) <= RECORD_RECEIPT_MAX,
	       "the ranges do not fit");

/* ---- checksums: the last eight bytes */

static uint64_t
check_of(const uint8_t *data, size_t len)
{
	return htole64(XXH3_64bits(data, len - CHECK));
}

static bool
is_sound(const uint8_t *data, size_t len)
{
	uint64_t check = check_of(data, len);

	return memcmp(data + len - CHECK, &check, CHECK) == 0;
}

static void
seal(uint8_t *data, size_t len)
{
	uint64_t check = check_of(data, len);

	memcpy(data + len - CHECK, &check, CHECK);
}

/* ---- the head */

static bool
is_text(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static bool
is_plausible(const struct disk_head *d)
{
	char name[PATH_BYTES_MAX + 1];
	size_t user;
	int len;

	if (memcmp(d->magic, magic, sizeof(magic)) != 0 || le32toh(d->flags) > FLAG_ALL)
		return false;
	if (!is_text(d->etag, sizeof(d->etag)) || !is_text(d->user, sizeof(d->user)) ||
	    !is_text(d->name, sizeof(d->name)))
		return false;
	if (le32toh(d->mode) > MODE_MAX || le32toh(d->how) > HOW_MAX ||
	    le32toh(d->algorithm) >= DIGEST_ALGORITHMS)
		return false;
	if (le64toh(d->size) > INT64_MAX && le64toh(d->size) != UINT64_MAX)
		return false;
	user = strlen(d->user);
	if (user > 0 && !users_name_is_valid(d->user, user))
		return false;
	/* one spelling only */
	len = path_from_wire(d->name, strlen(d->name), name);
	return len > 0 && strcmp(name, d->name) == 0;
}

int
record_read_head(const uint8_t data[RECORD_HEAD], struct record_head *ret)
{
	struct record_head h = { 0 };
	struct disk_head d;
	uint32_t flags;

	memcpy(&d, data, sizeof(d));
	if (!is_sound(data, RECORD_HEAD) || !is_plausible(&d))
		return -EBADMSG;
	flags = le32toh(d.flags);
	h.size = le64toh(d.size);
	h.mtime_ns = (int64_t)le64toh(d.mtime_ns);
	h.begun_ns = (int64_t)le64toh(d.begun_ns);
	h.mode = le32toh(d.mode);
	h.how = le32toh(d.how);
	h.digest.algorithm = (enum digest_algorithm)le32toh(d.algorithm);
	memcpy(h.digest.bytes, d.digest, sizeof(d.digest));
	memcpy(h.etag, d.etag, sizeof(d.etag));
	memcpy(h.user, d.user, sizeof(h.user));
	memcpy(h.name, d.name, sizeof(h.name));
	h.has_mtime = (flags & FLAG_MTIME) != 0;
	h.has_mode = (flags & FLAG_MODE) != 0;
	h.has_digest = (flags & FLAG_DIGEST) != 0;
	h.match = (flags & FLAG_MATCH) != 0;
	h.parents = (flags & FLAG_PARENTS) != 0;
	h.elsewhere = (flags & FLAG_ELSEWHERE) != 0;
	h.shares = (flags & FLAG_SHARES) != 0;
	*ret = h;
	return 0;
}

static uint32_t
flags_of(const struct record_head *h)
{
	return (h->has_mtime ? FLAG_MTIME : 0) | (h->has_mode ? FLAG_MODE : 0) |
	       (h->has_digest ? FLAG_DIGEST : 0) | (h->match ? FLAG_MATCH : 0) |
	       (h->parents ? FLAG_PARENTS : 0) | (h->elsewhere ? FLAG_ELSEWHERE : 0) |
	       (h->shares ? FLAG_SHARES : 0);
}

void
record_write_head(const struct record_head *h, uint8_t dst[RECORD_HEAD])
{
	struct disk_head d = { .size = htole64(h->size),
			       .mtime_ns = htole64((uint64_t)h->mtime_ns),
			       .begun_ns = htole64((uint64_t)h->begun_ns),
			       .flags = htole32(flags_of(h)),
			       .mode = htole32(h->mode),
			       .how = htole32(h->how),
			       .algorithm = htole32(h->digest.algorithm) };

	memcpy(d.magic, magic, sizeof(magic));
	memcpy(d.digest, h->digest.bytes, sizeof(d.digest));
	memcpy(d.etag, h->etag, sizeof(d.etag));
	memcpy(d.user, h->user, sizeof(h->user));
	memcpy(d.name, h->name, sizeof(d.name));
	memset(dst, 0, RECORD_HEAD);
	memcpy(dst, &d, sizeof(d));
	seal(dst, RECORD_HEAD);
}

/* ---- slots */

static int
read_ranges(const uint8_t *payload, unsigned n, struct record_ranges *ret)
{
	uint64_t pair[2], after = 0;

	if (n > RECORD_RANGES_MAX)
		return -EBADMSG;
	ret->n = n;
	for (unsigned i = 0; i < n; i++) {
		memcpy(pair, payload + i * sizeof(pair), sizeof(pair));
		ret->list[i] = (struct record_range){ le64toh(pair[0]), le64toh(pair[1]) };
		if (ret->list[i].first >= ret->list[i].end || ret->list[i].end > INT64_MAX ||
		    (i > 0 && ret->list[i].first <= after))
			return -EBADMSG;
		after = ret->list[i].end;
	}
	return 0;
}

/* What is being published is held from the first byte to the last. */
static int
read_receipt(const struct disk_slot *d, struct record_state *ret)
{
	uint64_t size = le64toh(d->size);
	uint32_t n = le32toh(d->n);

	if (n > RECORD_RECEIPT_MAX || size > INT64_MAX)
		return -EBADMSG;
	ret->receipt.len = n;
	memcpy(ret->receipt.text, d->payload, n);
	ret->ranges.n = ret->phase == RECORD_PUBLISHING && size > 0;
	ret->ranges.list[0] = (struct record_range){ 0, size };
	return 0;
}

int
record_read_slot(const uint8_t data[RECORD_SLOT], struct record_state *ret)
{
	struct disk_slot d;

	if (!is_sound(data, RECORD_SLOT))
		return -EBADMSG;
	memcpy(&d, data, sizeof(d));
	ret->sequence = le64toh(d.sequence);
	ret->received = le64toh(d.received);
	ret->parts = le64toh(d.parts);
	ret->phase = (enum record_phase)le32toh(d.phase);
	if (le32toh(d.phase) > RECORD_DONE || ret->sequence == 0 || ret->sequence > SEQUENCE_MAX)
		return -EBADMSG;
	ret->receipt.len = 0;
	return ret->phase == RECORD_OPEN ? read_ranges(d.payload, le32toh(d.n), &ret->ranges)
					 : read_receipt(&d, ret);
}

static void
write_ranges(const struct record_ranges *r, uint8_t *payload)
{
	uint64_t pair[2];

	for (unsigned i = 0; i < r->n; i++) {
		pair[0] = htole64(r->list[i].first);
		pair[1] = htole64(r->list[i].end);
		memcpy(payload + i * sizeof(pair), pair, sizeof(pair));
	}
}

void
record_write_slot(const struct record_state *s, uint8_t dst[RECORD_SLOT])
{
	struct disk_slot d = { .sequence = htole64(s->sequence),
			       .received = htole64(s->received),
			       .parts = htole64(s->parts),
			       .size = htole64(record_held(&s->ranges)),
			       .phase = htole32(s->phase),
			       .n = htole32(s->phase == RECORD_OPEN ? s->ranges.n
								    : s->receipt.len) };

	if (s->phase == RECORD_OPEN)
		write_ranges(&s->ranges, d.payload);
	else
		memcpy(d.payload, s->receipt.text, s->receipt.len);
	memset(dst, 0, RECORD_SLOT);
	memcpy(dst, &d, sizeof(d));
	seal(dst, RECORD_SLOT);
}

/* ---- ranges */

/* Puts n ranges in the place of those from i to before j. */
static int
replace(struct record_ranges *r, unsigned i, unsigned j, const struct record_range *with,
	unsigned n)
{
	unsigned left = r->n - (j - i);

	if (left + n > RECORD_RANGES_MAX)
		return -ENOBUFS;
	memmove(&r->list[i + n], &r->list[j], (r->n - j) * sizeof(r->list[0]));
	for (unsigned k = 0; k < n; k++)
		r->list[i + k] = with[k];
	r->n = left + n;
	return 0;
}

int
record_add(struct record_ranges *r, uint64_t first, uint64_t end)
{
	struct record_range all = { first, end };
	unsigned i = 0, j;

	if (first == end)
		return 0;
	while (i < r->n && r->list[i].end < first)
		i++;
	for (j = i; j < r->n && r->list[j].first <= end; j++) {
		if (r->list[j].first < all.first)
			all.first = r->list[j].first;
		if (r->list[j].end > all.end)
			all.end = r->list[j].end;
	}
	return replace(r, i, j, &all, 1);
}

int
record_drop(struct record_ranges *r, uint64_t first, uint64_t end)
{
	struct record_range left[2];
	unsigned i = 0, j, n = 0;

	if (first == end)
		return 0;
	while (i < r->n && r->list[i].end <= first)
		i++;
	for (j = i; j < r->n && r->list[j].first < end; j++) {
		if (r->list[j].first < first)
			left[n++] = (struct record_range){ r->list[j].first, first };
		if (r->list[j].end > end)
			left[n++] = (struct record_range){ end, r->list[j].end };
	}
	return replace(r, i, j, left, n);
}

bool
record_holds(const struct record_ranges *r, uint64_t first, uint64_t end)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->list[i].first <= first && end <= r->list[i].end)
			return true;
	return first == end;
}

uint64_t
record_held(const struct record_ranges *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < r->n; i++)
		sum += r->list[i].end - r->list[i].first;
	return sum;
}
