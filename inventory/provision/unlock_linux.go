// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"os"

	"golang.org/x/sys/unix"
)

// locks are FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h.
const locks = 0x10 | 0x20

// unlock takes the attributes off a file that forbid to replace it, immutable and
// append-only, and says whether it had one. It needs CAP_LINUX_IMMUTABLE.
func unlock(f *os.File) bool {
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&locks == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags&^locks)) == nil
}
