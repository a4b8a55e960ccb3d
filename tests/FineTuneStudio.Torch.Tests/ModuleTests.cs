using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Torch.Tests;

public class ModuleTests
{
    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        private readonly Linear dense;
        private readonly LayerNorm norm;
        private readonly Dropout drop = nn.Dropout(0.5);

        internal Block(int width) : base(nameof(Block))
        {
            dense = nn.Linear(width, width);
            norm = nn.LayerNorm(width);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => norm.call(drop.call(dense.call(input)) + input);
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Embedding words;
        private readonly ModuleList<Block> layer;
        private readonly Tensor scale = ones(1);
        private readonly Parameter shift;

        internal Net() : base(nameof(Net))
        {
            words = nn.Embedding(10, 4, padding_idx: 0);
            layer = nn.ModuleList(new Block(4), new Block(4));
            shift = nn.Parameter(zeros(4));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var x = words.call(input);
            foreach (var block in layer) x = block.call(x);
            return x * scale + shift;
        }
    }

    [Fact]
    public void Fields_become_dotted_names_with_the_modules_own_parameters_first()
    {
        using var net = new Net();
        Assert.Equal(
            [
                "shift", "words.weight", "layer.0.dense.weight", "layer.0.dense.bias", "layer.0.norm.weight", "layer.0.norm.bias",
                "layer.1.dense.weight", "layer.1.dense.bias", "layer.1.norm.weight", "layer.1.norm.bias",
            ],
            net.named_parameters().Select(p => p.name));
        Assert.Equal(["scale"], net.named_buffers().Select(b => b.name));
        Assert.Equal(["words", "layer", "layer.0", "layer.1", "layer.0.dense", "layer.0.norm", "layer.0.drop", "layer.1.dense", "layer.1.norm", "layer.1.drop"],
            net.named_modules().Select(m => m.name));
        Assert.Equal(11, net.state_dict().Count);
        Assert.True(net.has_parameter("layer.1.norm.bias"));
    }

    [Fact]
    public void A_module_made_inside_a_scope_outlives_it()
    {
        Net net;
        using (NewDisposeScope()) net = new Net();
        Assert.All(net.parameters(), p => Assert.False(p.IsInvalid));
        net.Dispose();
    }

    [Fact]
    public void Evaluation_turns_dropout_off_everywhere()
    {
        using var scope = NewDisposeScope();
        using var net = new Net();
        var ids = arange(6).reshape(2, 3);
        net.eval();
        Assert.All(net.modules(), m => Assert.False(m.training));
        Assert.True(net.call(ids).Equals(net.call(ids)));
        net.train();
        Assert.False(net.call(ids).Equals(net.call(ids)));
    }

    [Fact]
    public void A_state_loads_into_another_module_and_a_wrong_one_is_named()
    {
        using var scope = NewDisposeScope();
        using Net a = new(), b = new();
        b.load_state_dict(a.state_dict());
        foreach (var (x, y) in a.parameters().Zip(b.parameters())) Assert.True(x.Equals(y));

        var broken = a.state_dict();
        broken.Remove("shift");
        broken["shiftt"] = zeros(4);
        Assert.Equal("The state does not fit the module. Missing: shift. Unexpected: shiftt.",
            Assert.Throws<InvalidOperationException>(() => b.load_state_dict(broken)).Message);
        var (missing, unexpected) = b.load_state_dict(broken, strict: false);
        Assert.Equal(["shift"], missing);
        Assert.Equal(["shiftt"], unexpected);
        broken["shift"] = zeros(5);
        Assert.Contains("shape of shift", Assert.Throws<ArgumentException>(() => b.load_state_dict(broken, strict: false)).Message);
    }

    [Fact]
    public void Converting_keeps_the_parameter_objects_and_their_gradients()
    {
        using var scope = NewDisposeScope();
        using var net = new Net();
        var before = net.parameters().ToList();
        net.call(arange(6).reshape(2, 3)).sum().backward();
        net.to(ScalarType.Float64);
        Assert.Equal(before, net.parameters());
        Assert.All(net.parameters(), p => Assert.Equal((ScalarType.Float64, ScalarType.Float64), (p.dtype, p.grad!.dtype)));
        net.call(arange(6).reshape(2, 3)).sum().backward();
        net.zero_grad();
        Assert.All(net.parameters(), p => Assert.Null(p.grad));
        Assert.Throws<ArgumentException>(() => net.to(ScalarType.Int32));
    }

    [Fact]
    public void Hooks_see_and_may_replace_input_and_result()
    {
        using var scope = NewDisposeScope();
        using var linear = nn.Linear(2, 2, hasBias: false);
        nn.init.constant_(linear.weight, 1);
        var pre = linear.register_forward_pre_hook((_, x) => x * 2);
        var post = linear.register_forward_hook((_, _, y) => y + 1);
        Assert.Equal([5f, 5f], linear.call(ones(2)).data<float>().ToArray());
        Assert.Equal([2f, 2f], linear.forward(ones(2)).data<float>().ToArray());
        pre.remove();
        post.remove();
        Assert.Equal([2f, 2f], linear.call(ones(2)).data<float>().ToArray());
    }

    [Fact]
    public void The_padding_row_is_zero_and_gets_no_gradient()
    {
        using var scope = NewDisposeScope();
        using var table = nn.Embedding(4, 2, padding_idx: 0);
        table.call(tensor(new long[] { 0, 1 })).sum().backward();
        Assert.Equal([0f, 0f], table.weight[0].data<float>().ToArray());
        Assert.Equal([0f, 0f, 1f, 1f, 0f, 0f, 0f, 0f], table.weight.grad!.data<float>().ToArray());
    }
}
