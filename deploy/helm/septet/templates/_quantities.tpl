{{/* Quantities of Kubernetes as numbers. */}}

{{/* Bytes of a quantity such as 768Mi, 2G or 1073741824. */}}
{{- define "septet.bytes" -}}
{{- $quantity := kindIs "string" . | ternary . (printf "%.0f" (float64 .)) -}}
{{- $number := regexFind "^[0-9]+" $quantity -}}
{{- $unit := trimPrefix $number $quantity -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if or (not $number) (not (hasKey $units $unit)) -}}
{{- fail (printf "%q is no whole number of bytes, such as 512Mi or 2Gi" $quantity) -}}
{{- end -}}
{{- mul (int64 $number) (get $units $unit) -}}
{{- end -}}

{{/* A share of the memory that a component may take, in bytes, or nothing if that is not said: .Values.shortener. */}}
{{- define "septet.cacheMaxBytes" -}}
{{- with dig "limits" "memory" (dig "requests" "memory" "" .resources) .resources -}}
{{- div (mul (include "septet.bytes" . | int64) (int64 $.cacheMemoryPercent)) 100 -}}
{{- end -}}
{{- end -}}

{{/* The click log's share of the data directory, in bytes. */}}
{{- define "septet.clickLogMaxBytes" -}}
{{- $size := include "septet.bytes" .Values.shortener.data.size | int64 -}}
{{- if eq .Values.mode "embedded" -}}
{{- div $size 4 -}}
{{- else -}}
{{- div (mul $size 3) 4 -}}
{{- end -}}
{{- end -}}

{{/* How long a pod goes on, unready, before it stops: nothing where nobody else could serve instead. */}}
{{- define "septet.drainWaitMs" -}}
{{- eq .Values.mode "embedded" | ternary "0" (include "septet.stopPartMs" .) -}}
{{- end -}}

{{/* A ninth of the grace period, in milliseconds: one is waited, each of a shortener's seven steps of stopping gets one, one is spare. */}}
{{- define "septet.stopPartMs" -}}
{{- div (mul (int64 .Values.termination.gracePeriodSeconds) 1000) 9 -}}
{{- end -}}
