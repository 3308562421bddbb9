{{/* An image by its parts; an empty tag is the chart's appVersion. */}}
{{- define "multinic.imageOf" -}}
{{- $image := .image -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (.version | replace "+" "_") }}{{ end }}
{{- end }}

{{- define "multinic.image" -}}
{{- include "multinic.imageOf" (dict "image" .Values.controller.image "version" .Chart.AppVersion) }}
{{- end }}

{{/* The agents' image: the parts that are not set are the controller's. */}}
{{- define "multinic.agentImage" -}}
{{- $own := dict }}
{{- range $key, $value := .Values.agent.image }}{{ if $value }}{{ $_ := set $own $key $value }}{{ end }}{{ end }}
{{- $base := .Values.controller.image }}
{{- if and $own.tag (not $own.digest) }}{{ $base = omit $base "digest" }}{{ end }}
{{- include "multinic.imageOf" (dict "image" (merge $own $base) "version" .Chart.AppVersion) }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "multinic.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
app.kubernetes.io/name: multinic-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "multinic.selector" -}}
app.kubernetes.io/name: multinic-agent
app.kubernetes.io/component: controller
{{- end }}

{{- define "multinic.claim" -}}
{{ .Values.storage.existingClaim | default "multinic-agent-store" }}
{{- end }}

{{/* Names of the pull secrets, as JSON. */}}
{{- define "multinic.pullSecretNames" -}}
{{- $names := list }}
{{- range .Values.imagePullSecrets }}{{ $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) }}{{ end }}
{{- toJson $names }}
{{- end }}

{{- define "multinic.pullSecrets" -}}
{{- with include "multinic.pullSecretNames" . | fromJsonArray }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* `true` on OpenShift. */}}
{{- define "multinic.openshift" -}}
{{- $auto := and (eq .Values.openshift "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1") }}
{{- if or $auto (eq .Values.openshift "always") }}true{{ end }}
{{- end }}

{{/* Of a container that needs nothing. */}}
{{- define "multinic.securityContext" -}}
{{- $context := .Values.controller.securityContext }}
{{- if include "multinic.openshift" . }}{{ $context = omit $context "runAsUser" "runAsGroup" }}{{ end }}
{{- toYaml $context }}
{{- end }}

{{- define "multinic.podSecurityContext" -}}
{{- $context := .Values.controller.podSecurityContext }}
{{- if include "multinic.openshift" . }}{{ $context = omit $context "fsGroup" "runAsUser" "runAsGroup" }}{{ end }}
{{- toYaml $context }}
{{- end }}

{{/* How the CRDs come: `true` and `false` are what earlier charts had. */}}
{{- define "multinic.crds" -}}
{{- $install := toString .Values.crds.install }}
{{- get (dict "true" "hook" "false" "none") $install | default $install }}
{{- end }}

{{- define "multinic.crdNames" -}}
{{- $names := list }}
{{- range .Values.groups }}{{ $names = append $names (printf "multinicbizconfigs.%s" .) }}{{ end }}
{{- toJson $names }}
{{- end }}

{{/* Class of agents' pods; empty: the controller's default, which is the chart's own class. */}}
{{- define "multinic.agentPriority" -}}
{{- if .Values.agent.priorityClassName }}{{ .Values.agent.priorityClassName }}
{{- else if .Values.priorityClass.preempt }}multinic-agent-preempting
{{- end }}
{{- end }}

{{/* Settings of agents' pods, as JSON. */}}
{{- define "multinic.agentPod" -}}
{{- $pod := dict }}
{{- with .Values.agent.resources }}{{ $_ := set $pod "resources" . }}{{ end }}
{{- with include "multinic.agentPriority" . }}{{ $_ := set $pod "priorityClassName" . }}{{ end }}
{{- with merge (deepCopy .Values.agent.podLabels) .Values.commonLabels }}{{ $_ := set $pod "labels" . }}{{ end }}
{{- with .Values.agent.podAnnotations }}{{ $_ := set $pod "annotations" . }}{{ end }}
{{- toJson $pod }}
{{- end }}

{{/* A mesh's sidecar never ends, so a Job's pod would never end either. */}}
{{- define "multinic.noSidecarLabels" -}}
sidecar.istio.io/inject: "false"
{{- end }}
{{- define "multinic.noSidecarAnnotations" -}}
sidecar.istio.io/inject: "false"
linkerd.io/inject: disabled
{{- end }}
