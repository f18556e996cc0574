from plait.base.descriptors import messages

_TABLE = {
    "demo": {
        "Color": "RED=0 BLUE=1",
        "Leaf": "text=1:string",
        "Tree": "leaf=1:kind|Leaf number=2:kind|uint32 leaves=3:*Leaf map=4:~Leaf length=5:?uint32 color=6:Color",
    }
}


def test_a_table_becomes_messages_with_oneofs_maps_enums_and_presence() -> None:
    tree = messages(_TABLE)["demo.Tree"]
    made = tree(number=3, leaves=[{"text": "a"}], color=1, length=0)
    made.map["k"].text = "v"
    read = tree.FromString(made.SerializeToString())
    assert read.WhichOneof("kind") == "number"
    assert read.HasField("length")
    assert (read.leaves[0].text, read.map["k"].text, read.color) == ("a", "v", 1)
    read.leaf.text = "x"
    assert read.WhichOneof("kind") == "leaf"


def test_the_same_table_twice_does_not_collide() -> None:
    assert messages(_TABLE)["demo.Leaf"] is not messages(_TABLE)["demo.Leaf"]
