// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// accountDirectory is where the kubelet mounts the token of the pod's service account.
const accountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

// Connect finds the API server: the one of the file that KUBECONFIG names, else the one of
// the cluster that this process is a pod of. getenv reads the environment.
func Connect(getenv func(string) string, userAgent string) (*Client, error) {
	var access access
	var err error
	if file := getenv("KUBECONFIG"); file != "" {
		access, err = readKubeconfig(file)
	} else {
		access, err = inCluster(getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"))
	}
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	return access.client(userAgent), nil
}

// access is an API server and who we are to it.
type access struct {
	server string
	tls    *tls.Config
	token  func() (string, error)
}

func (a access) client(userAgent string) *Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &Client{
		base:      strings.TrimSuffix(a.server, "/"),
		token:     a.token,
		userAgent: userAgent,
		http: &http.Client{Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     a.tls,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     90 * time.Second,
			// One connection carries the watches and all else. A watch may be silent for
			// minutes: pings tell that from an API server that is gone.
			ForceAttemptHTTP2: true,
			HTTP2:             &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		}},
	}
}

// inCluster is the access of a pod.
func inCluster(host, port string) (access, error) {
	if host == "" || port == "" {
		return access{}, errors.New("neither KUBECONFIG nor KUBERNETES_SERVICE_HOST is set; set KUBECONFIG or run inside a cluster")
	}
	ca, err := os.ReadFile(filepath.Join(accountDirectory, "ca.crt"))
	if err != nil {
		return access{}, fmt.Errorf("read CA: %w; let the pod have its service account's token", err)
	}
	config, err := trust(ca)
	if err != nil {
		return access{}, err
	}
	return access{
		server: "https://" + net.JoinHostPort(host, port),
		tls:    config,
		token:  tokenFile(filepath.Join(accountDirectory, "token")),
	}, nil
}

// tokenFile reads the token each time: the kubelet renews it.
func tokenFile(file string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(file)
		return strings.TrimSpace(string(text)), err
	}
}

func trust(ca []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) == 0 {
		return config, nil // the machine's own CAs
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("read CA: it holds no certificate in PEM")
	}
	return config, nil
}

// kubeconfig is what is understood of such a file: certificates, keys and tokens.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Contexts       []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster string `json:"cluster"`
			User    string `json:"user"`
		} `json:"context"`
	} `json:"contexts"`
	Clusters []struct {
		Name    string            `json:"name"`
		Cluster kubeconfigCluster `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		Name string         `json:"name"`
		User kubeconfigUser `json:"user"`
	} `json:"users"`
}

type kubeconfigCluster struct {
	Server string `json:"server"`
	CAFile string `json:"certificate-authority"`
	CAData string `json:"certificate-authority-data"`
}

type kubeconfigUser struct {
	Token           string `json:"token"`
	TokenFile       string `json:"tokenFile"`
	CertificateFile string `json:"client-certificate"`
	CertificateData string `json:"client-certificate-data"`
	KeyFile         string `json:"client-key"`
	KeyData         string `json:"client-key-data"`
}

func readKubeconfig(file string) (access, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return access{}, fmt.Errorf("read kubeconfig: %w; name a readable file with KUBECONFIG", err)
	}
	var config kubeconfig
	if err := yaml.Unmarshal(text, &config); err != nil {
		return access{}, fmt.Errorf("read kubeconfig %s: %w", file, err)
	}
	a, err := config.access(filepath.Dir(file))
	if err != nil {
		return access{}, fmt.Errorf("read kubeconfig %s: %w", file, err)
	}
	return a, nil
}

// access is that of the current context; directory is where relative paths begin.
func (k *kubeconfig) access(directory string) (access, error) {
	cluster, user, err := k.current()
	if err != nil {
		return access{}, err
	}
	if address, err := url.Parse(cluster.Server); err != nil || address.Scheme != "https" || address.Host == "" {
		return access{}, fmt.Errorf("server %q is not the https URL of an API server", cluster.Server)
	}
	ca, err := content(cluster.CAData, cluster.CAFile, directory)
	if err != nil {
		return access{}, fmt.Errorf("read CA: %w", err)
	}
	a := access{server: cluster.Server, token: func() (string, error) { return user.Token, nil }}
	if a.tls, err = trust(ca); err != nil {
		return access{}, err
	}
	switch {
	case user.TokenFile != "":
		a.token = tokenFile(under(directory, user.TokenFile))
	case user.Token != "":
	case cmp.Or(user.CertificateData, user.CertificateFile) != "":
		certificate, err := content(user.CertificateData, user.CertificateFile, directory)
		if err != nil {
			return access{}, fmt.Errorf("read client certificate: %w", err)
		}
		key, err := content(user.KeyData, user.KeyFile, directory)
		if err != nil {
			return access{}, fmt.Errorf("read client key: %w", err)
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return access{}, fmt.Errorf("read client certificate: %w", err)
		}
		a.tls.Certificates = []tls.Certificate{pair}
	default:
		return access{}, errors.New("the user has neither token, tokenFile nor client-certificate; plug-ins are not run")
	}
	return a, nil
}

// current is what the current context names.
func (k *kubeconfig) current() (cluster kubeconfigCluster, user kubeconfigUser, err error) {
	for _, c := range k.Contexts {
		if c.Name != k.CurrentContext {
			continue
		}
		for _, named := range k.Clusters {
			if named.Name == c.Context.Cluster {
				cluster = named.Cluster
			}
		}
		for _, named := range k.Users {
			if named.Name == c.Context.User {
				user = named.User
			}
		}
		return cluster, user, nil
	}
	return cluster, user, fmt.Errorf("current-context %q is not among the contexts", k.CurrentContext)
}

// content is what a kubeconfig holds itself, in base64, or in a file.
func content(data, file, directory string) ([]byte, error) {
	switch {
	case data != "":
		return base64.StdEncoding.DecodeString(data)
	case file != "":
		return os.ReadFile(under(directory, file))
	default:
		return nil, nil
	}
}

func under(directory, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(directory, file)
}
