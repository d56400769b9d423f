{{/* What pods have in common. */}}

{{/* As Pod Security's `restricted` wants it; the image's user. */}}
{{- define "septet.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "septet.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The beginning of every pod's spec: (list $ SERVICE_ACCOUNT). */}}
{{- define "septet.podBase" -}}
serviceAccountName: {{ index . 1 }}
automountServiceAccountToken: false
# Variables of Services would begin with SEPTET_ too.
enableServiceLinks: false
{{- with (index . 0).Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "septet.podSecurityContext" . | nindent 2 }}
{{- end -}}

{{/* Where pods of a component go: (list $ "shortener" .Values.shortener). */}}
{{- define "septet.scheduling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- with index . 2 -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if kindIs "slice" .topologySpreadConstraints }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- else if eq $root.Values.mode "cluster" }}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ include "septet.selector" (list $root $component) | fromYaml | toJson }}}
    # Pods of the version before do not count.
    matchLabelKeys: [{{ include "septet.workloadKind" (list $root $component) | eq "StatefulSet" | ternary "controller-revision-hash" "pod-template-hash" }}]
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Deployment or StatefulSet. */}}
{{- define "septet.workloadKind" -}}
{{- $values := (index . 0).Values -}}
{{- if and (eq (index . 1) "shortener") (or (eq $values.mode "embedded") (eq $values.shortener.workload "StatefulSet")) -}}
StatefulSet
{{- else -}}
Deployment
{{- end -}}
{{- end -}}

{{/* Liveness and startup ask whether the process answers, whatever the engines do: one that waits for its token service is not to be killed.
     Readiness asks whether it has what it needs to serve. */}}
{{- define "septet.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* The pod template of a component: (dict "root" $ "name" "shortener" "values" .Values.shortener "binary" "septet"), and of what only some have
     "env", "mounts" and "volumes", as lists. */}}
{{- define "septet.podTemplate" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $fullname := printf "%s-%s" (include "septet.fullname" $root) $name -}}
{{- $args := . -}}
{{- with .values -}}
metadata:
  labels: {{- include "septet.podLabels" (list $root $name) | nindent 4 }}
  {{- with .podLabels }}
    {{- toYaml . | nindent 4 }}
  {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ $name }}
    # Pods are replaced when what they are told changes.
    checksum/settings: {{ include (printf "septet.settings.%s" $name) $root | sha256sum }}
    checksum/secrets: {{ $root.Values.secrets | toJson | sha256sum }}
  {{- with .podAnnotations }}
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "septet.podBase" (list $root (include "septet.serviceAccountName" (list $root $name .))) | nindent 2 }}
  terminationGracePeriodSeconds: {{ $root.Values.termination.gracePeriodSeconds }}
  {{- with include "septet.scheduling" (list $root $name .) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .extraInitContainers }}
  initContainers: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $name }}
      image: {{ include "septet.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [/usr/local/bin/{{ $args.binary }}]
      args: [serve]
      # Where a container ended, its status says why.
      terminationMessagePolicy: FallbackToLogsOnError
      envFrom:
        - configMapRef: {name: {{ $fullname }}}
      {{- with concat (default list $args.env) .extraEnv }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: {{ include "septet.port" $name }}}
        - {name: ops, containerPort: {{ include "septet.opsPort" $name }}}
      {{- include "septet.probes" . | nindent 6 }}
      resources: {{- toYaml .resources | nindent 8 }}
      securityContext: {{- include "septet.containerSecurityContext" . | nindent 8 }}
      volumeMounts:
        - {name: files, mountPath: {{ include "septet.filesDir" . }}, readOnly: true}
        {{- with concat (default list $args.mounts) .extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "septet.filesVolume" (include "septet.fileSources" (list $root $name (include "septet.fullname" $root) false)) | nindent 4 }}
    {{- with concat (default list $args.volumes) .extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* Secrets and CAs as files, readable by the image's group alone: SOURCES. */}}
{{- define "septet.filesVolume" -}}
- name: files
  projected:
    defaultMode: 0440
    sources: {{- . | trim | nindent 6 }}
{{- end -}}
