/*
 * Downloads. client/get.c finds out what goes where, get_file.c fetches one file, get_ranges.c what
 * is missing of one, get_delta.c what may serve of the file that it replaces, get_tree.c a whole
 * directory as one stream, get_listed.c a directory file by file (when parts of it are there
 * already or are not wanted). A name appears only when its content is complete and verified.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/blocks.h"
#include "client/command.h"
#include "client/fetch.h"
#include "client/lanes.h"
#include "client/part.h"

struct get {
	struct client *client;
	struct fetch fetch;
	bool fresh;     /* a directory was made that was not there before */
	bool delta;     /* what is there of a large file may serve */
	unsigned ahead; /* answers that come on this connection behind the one read now */
};

/* A directory here that a tree goes into. Everything below is opened beneath root. */
struct get_place {
	int root;
	const char *name;                     /* of root, for people */
	bool look_only;                       /* makes no directories */
	int parent;                           /* the directory opened last, -1 */
	char parent_path[PATH_BYTES_MAX + 1]; /* its path below root */
	struct get_dir *dirs;                 /* whose times are set at the end */
	size_t n_dirs, room;
};

/* Opens (and makes) the directory that holds what the server calls name; each component is checked.
 * *ret_path (PATH_BYTES_MAX + 1 bytes) gets the path below root. Descriptor (the place's) or
 * negative. */
int get_place_parent(struct get_place *p, const struct message_name *name, char *ret_path,
		     const char **ret_leaf);
/* Makes a directory of the tree and remembers its time and mode. 0 or negative. */
int get_place_directory(struct get_place *p, const struct entry *e);
/* Remembers time and mode of a directory of the tree, "" being root itself. */
void get_place_note(struct get_place *p, const char *path, const struct part_facts *facts);
/* Sets the times and modes of all directories; closes what is open but root. */
void get_place_done(struct get_place *p);

/* Is leaf there already, and what is to be done about it? 1: fetch it; 0: skipped, told. -EEXIST.
 */
int get_wanted(struct get *g, int dir, const char *leaf, const char *shown);

/* The request for a file; NULL without memory. get_ask() sends it. */
json_t *get_request(const struct get *g, const struct url *url);
int get_ask(struct get *g, const struct url *url, struct failure *f);

/* One file into dir under leaf (PATH_COMPONENT_MAX + 1 bytes, may change). asked: id of the
 * get_ask() whose answer comes next on this connection, 0: none. Tries again as the user wants;
 * what goes wrong with it alone is told. 0, or negative when all is over, told too. */
int get_file(struct get *g, const struct url *url, int dir, char *leaf, const char *shown,
	     bool inside, uint64_t asked);

/* Tells what came from url, and counts it; the rest of *file is set. */
void get_tell(struct get *g, const struct url *url, struct report_file *file);

/* What is known of one file while it comes, over however many tries. */
struct get_ranges {
	struct get *get;
	const struct url *url;
	const char *shown;
	int fd; /* of its part */
	bool begun;
	struct part_facts facts;
	char etag[ANSWER_ETAG_MAX + 1]; /* of the version that is fetched; "": none is known */
	struct blocks blocks;           /* of that version: what is held of it */
	uint64_t held;                  /* bytes that were there before */
	atomic_ullong moved;            /* bytes over the wire */
	struct lanes lanes;
};

/* Fetches what the part does not have, over as many connections as are wanted. What it has is known
 * by its content alone. 0; 1: there is nothing to compare with, it has to come whole; negative (f):
 * "changed" when it is another version meanwhile. */
int get_ranges(struct get_ranges *x, struct failure *f);
void get_ranges_done(struct get_ranges *x);
/* Compares the whole of it, when all of it is there, with the digest that the server knows, if it
 * knows one. 0 or negative (f). */
int get_verify(struct get_ranges *x, struct failure *f);

struct listing;

/* Who says what of a directory is fetched file by file. */
struct get_judge {
	/* Looks at a page of the listing before anything of it is fetched: sets skip of each entry
	 * that is neither to be fetched nor told. 0, or negative when all is over, told. */
	int (*page)(void *userdata, const struct listing *l, bool *skip);
	void *userdata;
	const char *digest; /* as in struct listing */
};

/* All below url into the place. 0 or negative as above. */
int get_tree(struct get *g, const struct url *url, struct get_place *place);
/* judge may be NULL: all of it. */
int get_listed(struct get *g, const struct url *url, struct get_place *place,
	       const struct get_judge *judge);
/* But what has the size and time that the server tells. */
int get_rest(struct get *g, const struct url *url, struct get_place *place);

/* The facts of an entry for part_publish(). */
struct part_facts get_facts(const struct entry *e);

/* Lets the part begin as what is there, should that serve; what cannot be copied is fetched. */
void get_begin_as(const struct get *g, const struct part *part, const char *leaf);

/* What is wrong as a whole, though no part of it may differ from the server's, is nothing to go on
 * with. */
void get_forget(const struct part *part, const struct failure *f);

/* Gives the part the name that the options ask for, and tells it. 0 or negative (f): scope ITEM. */
int get_publish(struct get *g, struct part *part, char *leaf, const struct part_facts *facts,
		struct failure *f);
