// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// memoryShards keeps requests from waiting for each other.
	memoryShards = 16
	// maxKeyBytes bounds what one remembered decision takes: a pod of a hundred containers
	// with a profile each is judged anew every time.
	maxKeyBytes = 16 << 10
)

// memory remembers what the rules found, by everything that they saw: an entry can be
// wrong only if evaluation is not a function of its input. It is of one Set, so that
// changed rules start without any; facts of nodes are part of the key as far as rules
// read them, so that a change of other nodes forgets nothing.
type memory struct {
	seed         maphash.Seed
	shards       [memoryShards]shard
	hits, misses atomic.Uint64
}

type shard struct {
	lock  sync.Mutex
	known *simplelru.LRU[string, []Finding]
}

// newMemory returns one for that many decisions, nil for none.
func newMemory(decisions int) *memory {
	if decisions <= 0 {
		return nil
	}
	m := &memory{seed: maphash.MakeSeed()}
	each := (decisions + memoryShards - 1) / memoryShards
	for i := range m.shards {
		// It refuses only a size below 1.
		m.shards[i].known, _ = simplelru.NewLRU[string, []Finding](each, nil)
	}
	return m
}

func (m *memory) shard(key []byte) *shard {
	return &m.shards[maphash.Bytes(m.seed, key)%memoryShards]
}

func (m *memory) get(key []byte) ([]Finding, bool) {
	s := m.shard(key)
	s.lock.Lock()
	// The string is looked up and not kept: there is no need to copy the bytes.
	findings, ok := s.known.Get(unsafe.String(unsafe.SliceData(key), len(key)))
	s.lock.Unlock()
	if !ok {
		m.misses.Add(1)
		return nil, false
	}
	m.hits.Add(1)
	return slices.Clone(findings), true
}

func (m *memory) put(key []byte, findings []Finding) {
	if len(key) > maxKeyBytes {
		return
	}
	s := m.shard(key)
	s.lock.Lock()
	s.known.Add(string(key), slices.Clone(findings))
	s.lock.Unlock()
}

var keys = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// Cleared counts the inputs in which the conditions of no rule were met, so that none was asked.
func (s *Set) Cleared() uint64 { return s.cleared.Load() }

// Remembered counts how many evaluations were answered from memory, and how many not.
func (s *Set) Remembered() (hits, misses uint64) {
	if s.memory == nil {
		return 0, 0
	}
	return s.memory.hits.Load(), s.memory.misses.Load()
}
