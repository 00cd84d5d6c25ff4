import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;

/**
 * A client of the passwordless dialect with nothing but the JDK: {@code Cipher("RSA")} on a private key, both ways.
 *
 * <p>{@code java Passwordless.java ORIGIN LENIENT} walks the whole flow against a running server, and with a key of 512
 * bits, as in the original protocol, against one that lets such keys in. It exits with 1 at the first answer that is not
 * as it should be.
 */
public final class Passwordless {
    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static final Base64.Encoder BASE64 = Base64.getEncoder();

    private final String origin;
    private final KeyPair keys;
    private PublicKey serverKey;
    private String id;
    private static int passed = 0;

    private Passwordless(String origin, int bits) throws Exception {
        this.origin = origin;
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(bits);
        keys = generator.generateKeyPair();
    }

    public static void main(String[] arguments) throws Exception {
        String origin = arguments[0];
        String name = "java-" + System.nanoTime();
        Passwordless alice = new Passwordless(origin, 2048);
        check("registration", alice.register(name) == 200 && alice.serverKey != null);
        check("the name is taken", new Passwordless(origin, 2048).register(name) == 409);
        check("a key of 1024 bits is refused", new Passwordless(origin, 1024).register(name + "-weak") == 400);

        String number = alice.recover(alice.challenge(alice.id));
        check("the challenge is a number", number.matches("[1-9][0-9]+"));
        check("the number has at least 128 bits", new BigInteger(number).bitLength() >= 128);
        HttpResponse<String> answer = alice.authenticate(alice.id, alice.propose(number));
        check("the proposal is accepted", answer.statusCode() == 200);
        String token = member(answer, "jwtToken");
        String claims = new String(Base64.getUrlDecoder().decode(token.split("\\.")[1]), StandardCharsets.UTF_8);
        check("the token names the account", claims.contains("\"sub\":\"" + alice.id + "\""));
        check("the token names the user", claims.contains("\"name\":\"" + name + "\""));
        check("a number works once", alice.authenticate(alice.id, alice.propose(number)).statusCode() == 401);

        String byName = alice.recover(alice.challenge(name));
        check("the account is named by its username too",
            alice.authenticate(name, alice.propose(new BigInteger(byName).toString())).statusCode() == 200);

        Set<String> numbers = new HashSet<>();
        for (int i = 0; i < 10; i++) {
            numbers.add(alice.recover(alice.challenge(alice.id)));
        }
        check("ten challenges are ten numbers", numbers.size() == 10);

        Passwordless mallory = new Passwordless(origin, 2048);
        check("another user registers", mallory.register(name + "-other") == 200);
        String fresh = alice.recover(alice.challenge(alice.id));
        check("another key is refused", alice.authenticate(alice.id, mallory.propose(fresh)).statusCode() == 401);
        check("another user's number is refused",
            mallory.authenticate(mallory.id, mallory.propose(fresh)).statusCode() == 401);
        check("the number itself is no proposal",
            alice.authenticate(alice.id, fresh.getBytes(StandardCharsets.UTF_8)).statusCode() == 401);
        check("after all that the number still works",
            alice.authenticate(alice.id, alice.propose(fresh)).statusCode() == 200);

        byte[] unknown = alice.challenge(name + "-nobody");
        check("an unknown user gets a challenge of the same length", unknown.length == 256);
        check("which no key opens", alice.recover(unknown) == null);

        check("logout", alice.logout(token) == 200);

        Passwordless weak = new Passwordless(arguments[1], 512);
        check("a key of 512 bits registers where it may", weak.register(name) == 200);
        String small = weak.recover(weak.challenge(weak.id));
        check("and logs in", weak.authenticate(weak.id, weak.propose(small)).statusCode() == 200);
        check("once", weak.authenticate(weak.id, weak.propose(small)).statusCode() == 401);
        System.out.println("java: " + passed + " passed, 0 failed");
    }

    private int register(String name) throws Exception {
        String key = BASE64.encodeToString(keys.getPublic().getEncoded());
        HttpResponse<String> answer =
            post("/register", "{\"username\":\"" + name + "\",\"clientSidePublicKey\":\"" + key + "\"}");
        if (answer.statusCode() == 200) {
            byte[] spki = Base64.getDecoder().decode(member(answer, "serverSidePublicKey"));
            serverKey = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(spki));
            id = member(answer, "id");
        }
        return answer.statusCode();
    }

    private byte[] challenge(String account) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(origin + "/challenge/" + account)).build();
        HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException(answer.statusCode() + " " + answer.body());
        }
        return Base64.getDecoder().decode(member(answer, "challenge"));
    }

    /** The number of a challenge, or null when it is not by the server's key for this user. */
    private String recover(byte[] challenge) throws Exception {
        Cipher cipher = Cipher.getInstance("RSA");
        cipher.init(Cipher.DECRYPT_MODE, serverKey);
        try {
            return new String(cipher.doFinal(challenge), StandardCharsets.UTF_8);
        } catch (BadPaddingException notTheServer) {
            return null;
        }
    }

    private byte[] propose(String number) throws Exception {
        Cipher cipher = Cipher.getInstance("RSA");
        cipher.init(Cipher.ENCRYPT_MODE, keys.getPrivate());
        return cipher.doFinal(number.getBytes(StandardCharsets.UTF_8));
    }

    private HttpResponse<String> authenticate(String account, byte[] proposal) throws Exception {
        return post("/authenticate/" + account, "{\"proposal\":\"" + BASE64.encodeToString(proposal) + "\"}");
    }

    private int logout(String token) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(origin + "/logout"))
            .header("Authorization", "Bearer " + token)
            .POST(HttpRequest.BodyPublishers.noBody())
            .build();
        return HTTP.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
    }

    private HttpResponse<String> post(String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(origin + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        return HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    }

    private static String member(HttpResponse<String> answer, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(answer.body());
        if (!matcher.find()) {
            throw new IllegalStateException("no " + name + " in " + answer.statusCode() + " " + answer.body());
        }
        return matcher.group(1);
    }

    private static void check(String what, boolean holds) {
        if (!holds) {
            System.err.println("FAILED: " + what);
            System.exit(1);
        }
        passed++;
    }
}
