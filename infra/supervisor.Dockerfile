# The supervisor of calls as a container (infra/supervisor-fargate.yaml), of the binary that `make build` made:
#
#     docker build --file infra/supervisor.Dockerfile target/lambda/supervisor
#
# The certificate authorities are in the binary. BASE needs the C library alone.
ARG BASE=public.ecr.aws/amazonlinux/amazonlinux:2023-minimal
FROM ${BASE}
COPY bootstrap /supervisor
# Nobody: it writes no file.
USER 65534
ENTRYPOINT ["/supervisor"]
