/* Memory that others read or write: pages of the boards, and mappings that were never to be. */
#include "tests/hostile/attack.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/own.h"

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE };

static const struct attempt memory[] = {
	{ "mprotect of its orders", SYS_mprotect, { AIM_ORDERS, PAGE, RW } },
	{ "mprotect of the public page", SYS_mprotect, { AIM_SHOWN, PAGE, RW } },
	{ "mprotect to execute", SYS_mprotect, { AIM_SCRATCH, PAGE, PROT_READ | PROT_EXEC } },
	{ "pkey_mprotect", SYS_pkey_mprotect, { AIM_SCRATCH, PAGE, PROT_READ | PROT_EXEC, -1 } },
	{ "madvise to empty its orders", SYS_madvise, { AIM_ORDERS, PAGE, MADV_REMOVE } },
	{ "madvise to empty the public page", SYS_madvise, { AIM_SHOWN, PAGE, MADV_REMOVE } },
#ifndef WITH_SANITIZERS /* whose runtime needs mremap() */
	{ "mremap to the next slot's report",
	  SYS_mremap,
	  { AIM_REPORT, PAGE, 2 * PAGE, MREMAP_MAYMOVE } },
	{ "mremap to a second view", SYS_mremap, { AIM_REPORT, 0, 16 * PAGE, MREMAP_MAYMOVE } },
	{ "mremap to the next slot's orders",
	  SYS_mremap,
	  { AIM_ORDERS, PAGE, 2 * PAGE, MREMAP_MAYMOVE } },
#endif
	{ "remap_file_pages to another's report",
	  SYS_remap_file_pages,
	  { AIM_REPORT, PAGE, 0, 2, 0 } },
	{ "remap_file_pages to another's orders",
	  SYS_remap_file_pages,
	  { AIM_ORDERS, PAGE, 0, 2, 0 } },
	{ "mmap of a descriptor, shared", SYS_mmap, { 0, PAGE, RW, MAP_SHARED, AIM_INSIDE, 0 } },
	{ "mmap of a descriptor, private",
	  SYS_mmap,
	  { 0, PAGE, PROT_READ, MAP_PRIVATE, AIM_INSIDE, 0 } },
	{ "mmap of a socket", SYS_mmap, { 0, PAGE, RW, MAP_SHARED, AIM_CONNECTION, 0 } },
	{ "mmap to share", SYS_mmap, { 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0 } },
	{ "mmap to execute",
	  SYS_mmap,
	  { 0, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "msync", SYS_msync, { AIM_SHOWN, PAGE, MS_SYNC } },
	{ "mlock", SYS_mlock, { AIM_SCRATCH, PAGE } },
	{ "mlockall", SYS_mlockall, { MCL_CURRENT } },
};
const struct attempts attack_memory = { "memory", memory, ARRAY_SIZE(memory) };
