# One image for the three services and the embedded backend; what runs is the command, as in `services.user_service`.
FROM python:3.13-slim AS packages
COPY requirements.txt .
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.txt

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /srv --shell /usr/sbin/nologin lab \
    && install --directory --owner=lab --group=lab /srv /var/lib/lab
COPY --from=packages /opt/venv /opt/venv
COPY generated /srv/generated
COPY otel /srv/otel
COPY services /srv/services
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/srv PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv
USER lab
ENTRYPOINT ["python", "-m"]
CMD ["services.user_service", "--host", "0.0.0.0"]
