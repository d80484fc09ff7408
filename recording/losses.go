// SPDX-License-Identifier: Apache-2.0

package recording

// Losses counts what a Listener did not get.
type Losses struct {
	// Overruns is how often the buffer was full.
	Overruns uint64
	// Missing is how many audit events never came, of any type: the kernel counts its
	// events, and the numbers of these were passed over. Those after the last event that
	// came are not among them, nor is what the kernel gave up before it had a number.
	Missing uint64
	// Broken is how many seccomp records came and could not be read.
	Broken uint64
}

// serials finds numbers that are missing from a sequence. Events come nearly in order, but
// two processors may change places, and an event may have several records.
type serials struct {
	started bool
	next    uint32 // after the highest so far
	missing uint64
	recent  [recentSerials]uint32
}

// recentSerials is how far behind the highest number one may come and be told from one
// that came before. The kernel's own queue holds 64 records unless told otherwise.
const recentSerials = 1024

func (s *serials) add(n uint32) {
	if !s.started {
		s.started, s.next = true, n
		for i := range uint32(recentSerials) { // what came before is not missing
			before := n - 1 - i
			s.recent[before%recentSerials] = before
		}
	}
	ahead := int32(n - s.next) // also where the numbers begin anew
	slot := &s.recent[n%recentSerials]
	switch {
	case ahead >= 0:
		s.missing += uint64(ahead)
		s.next = n + 1
	case ahead < -recentSerials || *slot == n:
		return
	default:
		s.missing--
	}
	*slot = n
}
