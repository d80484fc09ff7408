module github.com/seccompgate/seccompgate/e2e/audit

go 1.26.0

require github.com/seccompgate/seccompgate v0.0.0

require (
	github.com/agnivade/levenshtein v1.2.2 // indirect
	github.com/elastic/go-seccomp-bpf v1.6.0 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/moby/profiles/seccomp v0.3.0 // indirect
	github.com/opencontainers/runtime-spec v1.3.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace github.com/seccompgate/seccompgate => ../..
