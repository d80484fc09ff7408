# One image a program, for any platform, without cgo and reproducible: the same source and Go make the same bytes.
#
#   docker build --build-arg PROGRAM=seccomp-webhook -t seccomp-webhook .
#
# BASE may be any image without a shell that has what a static program needs; by default there is nothing in it but the
# program, the names of its user and the certificates of public CAs.
ARG BASE=scratch

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY certs certs
COPY cmd cmd
COPY controller controller
COPY inventory inventory
COPY policies policies
COPY recording recording
COPY seccomp seccomp
COPY webhook webhook
ARG PROGRAM=seccomp-webhook
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
	go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" -o "/out/$PROGRAM" "./cmd/$PROGRAM" && \
	ln "/out/$PROGRAM" /out/program && \
	printf 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >/out/passwd && \
	printf 'nonroot:x:65532:\n' >/out/group

FROM $BASE
COPY --from=build /out/passwd /out/group /etc/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/program /program
USER 65532:65532
ENTRYPOINT ["/program"]
