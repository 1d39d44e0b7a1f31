#include "client/mirror.h"
#include "lib/clock.h"
#include "lib/own.h"

bool
mirror_same_time(int64_t src, int64_t dst)
{
	/* NTFS; what has microseconds, milliseconds; exFAT; the old ones; FAT */
	static const int64_t steps[] = {
		100, 1000, 1000000, 10000000, (int64_t)NSEC_PER_SEC, 2 * (int64_t)NSEC_PER_SEC
	};

	if (src == dst)
		return true;
	if (dst > src)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (dst % steps[i] == 0 && (uint64_t)src - (uint64_t)dst < (uint64_t)steps[i])
			return true;
	return false;
}

static bool
same_time(const struct catalog_facts *src, const struct catalog_facts *dst)
{
	return src->has_mtime && dst->has_mtime && mirror_same_time(src->mtime_ns, dst->mtime_ns);
}

enum mirror_verdict
mirror_judge_same(const struct catalog_facts *src, const struct catalog_facts *dst)
{
	bool same_mode = !src->has_mode || !dst->has_mode || src->mode == dst->mode;

	return same_mode && (!src->has_mtime || same_time(src, dst)) ? MIRROR_SAME : MIRROR_SET;
}

enum mirror_verdict
mirror_judge(const struct catalog_facts *src, const struct catalog_facts *dst, bool by_content)
{
	bool directory = src->type == ENTRY_DIR;

	if (dst == NULL)
		return MIRROR_MOVE;
	if (directory != (dst->type == ENTRY_DIR))
		return MIRROR_BLOCKED;
	if (directory && by_content)
		return mirror_judge_same(src, dst);
	if (directory)
		return same_time(src, dst) ? MIRROR_SAME : MIRROR_SET;
	if (dst->type != ENTRY_FILE || src->size != dst->size)
		return MIRROR_MOVE;
	if (by_content)
		return MIRROR_COMPARE;
	return same_time(src, dst) ? MIRROR_SAME : MIRROR_MOVE;
}
