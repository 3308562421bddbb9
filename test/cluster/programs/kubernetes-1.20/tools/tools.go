//go:build tools

// Package tools names the generator of the OpenAPI definitions, so that its version is that of Kubernetes.
package tools

import _ "k8s.io/kube-openapi/cmd/openapi-gen"
