# The web page and its routes without PyTorch: docker build -t asteroid-joint .
# docker run -p 7860:7860 -e ASTEROID_JOINT_TOKEN=... asteroid-joint
FROM python:3.12-slim
WORKDIR /src
COPY asteroid_joint asteroid_joint
COPY light light
RUN pip install --no-cache-dir ./light
RUN asteroid-joint --version
USER 1000
WORKDIR /tmp
EXPOSE 7860
ENTRYPOINT ["asteroid-joint"]
CMD ["demo", "--host", "0.0.0.0"]
