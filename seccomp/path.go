// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

const (
	// maxPath in bytes leaves room below Linux's PATH_MAX (4096) for the kubelet's
	// root directory and for messages that quote the path.
	maxPath = 1024
	// maxPathElement is NAME_MAX of every file system that a node may have.
	maxPathElement = 255
	// shownPath bounds what a message quotes of a path: API warnings are cut at 256
	// characters, and the remedy stands behind the path.
	shownPath = 80

	// kubeletSeccompRoot is where most people look when they write an absolute path.
	kubeletSeccompRoot = "/var/lib/kubelet/seccomp/"
	// profileDirectory is the one directory below the seccomp root that seccompgate
	// writes to.
	profileDirectory = "seccompgate"
	// digestDigits of the digest name a generation of a profile on disk.
	digestDigits = 12
)

// CheckPath says why a localhost path is not clean, nil when it is. The kubelet
// joins and cleans the path before it opens the file, so that "./a.json" and
// "a.json" are one file under two names: only the cleaned form may be used, or
// lists and look-ups by name would be fooled. Nothing is said about the file.
func CheckPath(p string) error {
	if p == "" {
		return errors.New(`path is empty; name a file below the kubelet's seccomp directory, such as "profiles/app.json"`)
	}
	if len(p) > maxPath {
		return fmt.Errorf("path %s has %d bytes; use at most %d", quotePath(p), len(p), maxPath)
	}
	for i := range len(p) {
		// Look-alikes and invisible characters make two names look like one, and a
		// control character makes the API server drop the warning that shows it.
		if p[i] < ' ' || p[i] > '~' {
			return fmt.Errorf("path %s has a character outside printable ASCII at byte %d; rename the file with letters, digits, \".\", \"_\" and \"-\"",
				quotePath(p), i+1)
		}
	}
	if strings.HasPrefix(p, "/") {
		return fmt.Errorf("path %s is absolute; write it relative to the kubelet's seccomp directory%s",
			quotePath(p), suggestion(strings.TrimPrefix(path.Clean(p), kubeletSeccompRoot)))
	}
	for element := range strings.SplitSeq(p, "/") {
		if element == ".." {
			return fmt.Errorf(`path %s climbs with ".."; name the file by the directories that it lies in%s`,
				quotePath(p), suggestion(path.Clean(p)))
		}
	}
	clean := path.Clean(p)
	if clean == "." {
		return fmt.Errorf("path %s is the kubelet's seccomp directory itself; name a file below it", quotePath(p))
	}
	if clean != p {
		return fmt.Errorf("path %s is not in its cleaned form; write %s", quotePath(p), quotePath(clean))
	}
	for element := range strings.SplitSeq(p, "/") {
		if len(element) > maxPathElement {
			return fmt.Errorf("path %s has an element of %d bytes; use at most %d", quotePath(p), len(element), maxPathElement)
		}
	}
	return nil
}

// suggestion is the end of a message that proposes a path, empty when the
// proposal would not pass either.
func suggestion(p string) string {
	if p == "." || p == ".." || strings.HasPrefix(p, "/") || strings.HasPrefix(p, "../") {
		return ""
	}
	return ": " + quotePath(p)
}

// quotePath quotes in printable ASCII, shortened.
func quotePath(p string) string { return quote(p, shownPath) }

// quote quotes text of unknown origin in printable ASCII: what follows the first
// limit bytes is replaced by "...".
func quote(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return strconv.QuoteToASCII(s)
}

// PlainPath returns the path of a LocalhostProfile's current content, for people
// who write it by hand.
func PlainPath(name string) string {
	return profileDirectory + "/" + name + ".json"
}

// DigestPath returns the path of one generation of a LocalhostProfile. The digest
// is that of Digest; its first 12 digits are enough to tell generations of one
// name apart.
func DigestPath(name, digest string) string {
	digits := strings.TrimPrefix(digest, digestPrefix)
	return profileDirectory + "/" + name + "." + digits[:min(digestDigits, len(digits))] + ".json"
}

// Generation takes a path of PlainPath or DigestPath apart: the profile's name and the
// digits of the digest, which the plain path does not have. The name is empty for any
// other path; it may still be one that no profile can have, see ParseName.
func Generation(path string) (name, digits string) {
	stem, ours := strings.CutPrefix(path, profileDirectory+"/")
	stem, json := strings.CutSuffix(stem, ".json")
	if !ours || !json {
		return "", ""
	}
	if dot := len(stem) - digestDigits - 1; dot > 0 && endsInDigest(stem) {
		return stem[:dot], stem[dot+1:]
	}
	return stem, ""
}
