# The report in a container: by an ordinary user, from a source that it cannot write. docs/notebooks.md says how.
FROM docker.io/library/python:3.11-slim-trixie

RUN apt-get update && apt-get install --yes --no-install-recommends git g++ && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements.txt

# Git refuses the repository of another user, and the source is one. Any user may write to the volume, as by `-u 1234`.
RUN git config --system --add safe.directory '*' && mkdir --mode 1777 /report
COPY tools/in_container.sh /usr/local/bin/in_container
USER 1000
# MPLCONFIGDIR: matplotlib keeps its list of fonts there, or would make it anew for each stage
ENV SOURCE=/source LOGNAME=nobody HOME=/tmp MPLCONFIGDIR=/report/.matplotlib PYTHONPATH=/report/project/src
WORKDIR /report
VOLUME /report
ENTRYPOINT ["in_container"]
CMD ["python", "tools/repro.py", "--jobs", "2"]
