/*
 * Names from outside. Everything a peer names is checked here once and opened beneath a descriptor
 * here and nowhere else; refused at the door and by the kernel (openat2). No logging;
 * fuzz/fuzz_path.c.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PATH_RESERVED ".ftd" /* names that begin so are the daemon's, at every level */

enum { PATH_BYTES_MAX = 4095, PATH_COMPONENT_MAX = 255 };

/* One component: 1 to 255 bytes, no '/', no NUL, not "." or "..". 0 or -FTD_E_bad_name. */
int path_check_component(const char *name, size_t len);

/* path_check_component() and not reserved. */
int path_check_visible(const char *name, size_t len);

bool path_is_reserved(const char *name, size_t len);

/* Normalises a name from the wire: an optional leading '/' is dropped, every component is checked
 * with path_check_visible(), "/" is the root. dst (PATH_BYTES_MAX + 1 bytes) gets the components
 * joined by '/', without one at either end; "" for the root. Length of dst or -FTD_E_bad_name. */
int path_from_wire(const char *name, size_t len, char *dst);

/* Opens rel ("" is the directory itself) beneath the directory dir with openat2(2):
 * RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS unless follow_inside.
 * O_CLOEXEC, O_NONBLOCK and O_NOCTTY are added; a last component that is a link is opened only if
 * follow_inside. Descriptor, or -errno (ELOOP and EXDEV: a link was in the way). */
int path_open(int dir, const char *rel, int flags, mode_t mode, bool follow_inside);

/* Opens the directory that holds rel's last component (O_PATH is not used: the descriptor can be
 * synced) and points *ret_leaf at that component inside rel. rel must not be "". */
int path_open_parent(int dir, const char *rel, bool follow_inside, const char **ret_leaf);

/* Who watches path_make_parents(), or nobody (NULL); a negative answer ends it. */
struct path_maker {
	int (*may)(void *userdata, const char *rel); /* NULL, or asked before rel is made */
	/* NULL, or given each directory that got a new entry (borrowed), to be synced */
	int (*made)(void *userdata, int parent_fd);
	void *userdata;
};

/* mkdir -p of rel beneath dir with mode 0777 and the process's umask. Already there is no error.
 * Descriptor of rel or negative. */
int path_make_parents(int dir, const char *rel, bool follow_inside, const struct path_maker *maker);
